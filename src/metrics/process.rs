//! What the operating system says of this process, under the names that every Prometheus client uses for it.
//!
//! Read anew at each scrape, from `/proc`. Where there is none, these metrics are missing.

use prometheus_client::registry::Registry;

/// What could be read. One that cannot be read has no sample.
#[cfg(target_os = "linux")]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("process");
    // In a sandbox without /proc there is nothing to tell, and nobody to tell it to at every scrape.
    let _ = linux::register(&mut registry);
    registry
}

#[cfg(not(target_os = "linux"))]
pub fn registry() -> Registry {
    Registry::default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicU64;

    use procfs::ProcResult;
    use procfs::process::{LimitValue, Process};
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::registry::{Registry, Unit};

    pub fn register(registry: &mut Registry) -> ProcResult<()> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;

        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by((stat.utime + stat.stime) as f64 / ticks);
        registry.register_with_unit("cpu", "CPU time that the process has used, user and system", Unit::Seconds, cpu);
        let started_at = boot_time()? + stat.starttime as f64 / ticks;
        let help = "Unix time at which the process started";
        registry.register_with_unit("start_time", help, Unit::Seconds, gauge(started_at));
        let resident = stat.rss * procfs::page_size();
        registry.register_with_unit("resident_memory", "Memory that is resident", Unit::Bytes, gauge(resident as f64));
        let virtual_size = gauge(stat.vsize as f64);
        registry.register_with_unit("virtual_memory", "Size of the address space", Unit::Bytes, virtual_size);
        registry.register("threads", "Threads of the process", gauge(stat.num_threads as f64));
        registry.register("open_fds", "File descriptors that are open", gauge(process.fd_count()? as f64));
        if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
            registry.register("max_fds", "File descriptors that may be open", gauge(most as f64));
        }
        Ok(())
    }

    fn gauge(value: f64) -> Gauge<f64, AtomicU64> {
        let gauge = Gauge::default();
        gauge.set(value);
        gauge
    }

    /// Read once: it goes with the clock, and a start that moves would look like a restart.
    fn boot_time() -> ProcResult<f64> {
        static KNOWN: OnceLock<u64> = OnceLock::new();
        let read = match KNOWN.get() {
            Some(known) => *known,
            None => procfs::boot_time_secs()?,
        };
        Ok(*KNOWN.get_or_init(|| read) as f64)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use prometheus_client::encoding::text::encode_registry;

    use super::*;

    /// The value of a metric, now.
    fn read(name: &str) -> f64 {
        let mut text = String::new();
        encode_registry(&mut text, &registry()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("`{name}` is missing in:\n{text}")).parse().unwrap()
    }

    #[test]
    fn memory_descriptors_and_threads_are_those_of_this_process() {
        let resident = read("process_resident_memory_bytes");
        assert!((1e6..1e11).contains(&resident), "{resident}");
        assert!(read("process_virtual_memory_bytes") > resident);
        assert!(read("process_threads") >= 1.0);
        assert!(read("process_open_fds") >= 3.0);
        assert!(read("process_max_fds") > read("process_open_fds"));
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let before = read("process_cpu_seconds_total");
        let mut sum = 0_u64;
        while read("process_cpu_seconds_total") < before + 0.05 {
            sum = (0..1_000_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert!(read("process_cpu_seconds_total") > before);
    }

    #[test]
    fn the_start_lies_in_the_past_and_stays_where_it_is() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started_at = read("process_start_time_seconds");
        // A clock tick, and the second to which the start of the machine is told.
        assert!(started_at <= now + 1.0 && started_at > now - 86_400.0, "{started_at} now {now}");
        assert_eq!(read("process_start_time_seconds"), started_at);
    }
}
