//! The two text formats of metrics, and which of them a client gets.
//!
//! OpenMetrics is what prometheus-client writes and what Prometheus asks for. The older text format, which tools such
//! as `promtool check metrics` read, is the same lines with other words in the comments.

/// The text format of OpenMetrics 1.0.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text format of Prometheus.
pub const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The format for a client that accepts this: the older one only for who asks for it and not for OpenMetrics.
pub fn negotiate(accept: &str) -> &'static str {
    let accepts =
        |kind: &str| accept.split(',').any(|range| range.split(';').next().is_some_and(|found| found.trim() == kind));
    if accepts("text/plain") && !accepts("application/openmetrics-text") { PLAIN } else { OPENMETRICS }
}

/// OpenMetrics in the older format: a counter is declared under the name of its samples, and units are in names only.
pub fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(declared) = line.strip_prefix("# HELP ") {
            help = declared;
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            declare(&mut text, help, declared);
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn declare(text: &mut String, help: &str, declared: &str) {
    let (name, kind) = declared.split_once(' ').unwrap_or((declared, "untyped"));
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        kind => ("", kind),
    };
    let help = help.split_once(' ').map_or("", |(_, help)| help);
    text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_everybody_who_does_not_ask_for_the_older_format_alone() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in ["", "*/*", prometheus, "application/openmetrics-text; version=1.0.0", "application/json"] {
            assert_eq!(negotiate(accept), OPENMETRICS, "{accept}");
        }
        for accept in ["text/plain", "text/plain;version=0.0.4;q=1,*/*;q=0.1", "text/html, text/plain"] {
            assert_eq!(negotiate(accept), PLAIN, "{accept}");
        }
    }

    #[test]
    fn the_older_format_declares_each_metric_under_the_name_of_its_samples() {
        let openmetrics = "\
# HELP a_build The version.
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_rows Rows read.
# TYPE a_rows counter
a_rows_total 5
# HELP a_lag_seconds Age.
# TYPE a_lag_seconds gauge
# UNIT a_lag_seconds seconds
a_lag_seconds 7
# EOF
";
        let expected = "\
# HELP a_build_info The version.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_rows_total Rows read.
# TYPE a_rows_total counter
a_rows_total 5
# HELP a_lag_seconds Age.
# TYPE a_lag_seconds gauge
a_lag_seconds 7
";
        assert_eq!(plain(openmetrics), expected);
    }
}
