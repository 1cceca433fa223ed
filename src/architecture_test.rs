//! Who may use whom, read from the source: `domain` knows nothing but itself, and no edge knows another.
//!
//! The check looks at every path in the code, in `use` and elsewhere, with comments, texts and tests taken out.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates that the rules may use: calendars, and a derive for errors.
const DOMAIN_CRATES: [&str; 2] = ["jiff", "thiserror"];

/// Parts of the standard library that reach outside.
const OUTSIDE: [&str; 8] = ["env", "fs", "io", "net", "os", "process", "thread", "random"];

#[test]
fn the_domain_uses_nothing_but_itself() {
    let dependencies = dependencies();
    assert!(dependencies.iter().any(|name| name == "tokio"), "{dependencies:?}");
    let complaints = check("src/domain", |module, code| domain_complaints(module, code, &dependencies));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn no_edge_uses_another() {
    let complaints = check("src/edge", edge_complaints);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn planted_violations_of_the_domain_are_found() {
    let dependencies = ["tokio", "serde", "jiff", "thiserror", "fastrand"].map(str::to_owned);
    let module = ["domain".to_owned(), "plan".to_owned()];
    for planted in [
        "use crate::edge::avro;",
        "use crate::{config, domain::time};",
        "fn f() { crate::poller::run() }",
        "use super::super::stream;",
        "async fn f() {}",
        "fn f() { g().await }",
        "use std::fs;",
        "use std::{fmt, net::TcpStream};",
        "use std::time::{Duration, SystemTime};",
        "let t = std::time::Instant::now();",
        "let t = jiff::Timestamp::now();",
        "let t = Timestamp::now();",
        "let z = TimeZone::system();",
        "use tokio as t;",
        "#[derive(serde::Serialize)] struct S;",
        "let n = fastrand::u64(..);",
        "/* a comment */ use ::serde::Serialize; // another",
    ] {
        assert!(!domain_complaints(&module, &code_of(planted), &dependencies).is_empty(), "not found: {planted}");
    }
    for allowed in [
        "use super::time::{Instant, LocalTime};",
        "use crate::domain::call::RowId;",
        "use std::collections::{BTreeMap, BTreeSet}; use std::time::Duration;",
        "#[derive(Debug, thiserror::Error)] enum E {}",
        "use jiff::{Timestamp, tz::TimeZone};",
        "// use tokio::fs;\n/* async /* nested */ std::fs */ const S: &str = \"crate::edge \\\" async\";",
        "const R: &str = r#\"use \"tokio\"::fs;\"#; const C: char = '\"'; fn f<'a>(a: &'a str) {}",
        "let now = situation.now; let serde = 1;",
        "#[cfg(test)]\nmod tests { use crate::edge; }",
        "#[cfg(test)]\nmod tests;",
    ] {
        assert_eq!(domain_complaints(&module, &code_of(allowed), &dependencies), [""; 0], "{allowed}");
    }
}

#[test]
fn planted_violations_of_an_edge_are_found() {
    let kafka = ["edge", "kafka", "topics"].map(str::to_owned);
    for planted in ["use crate::edge::registry::Id;", "use crate::edge::{kafka, avro};", "use super::super::admin;"] {
        assert!(!edge_complaints(&kafka, &code_of(planted)).is_empty(), "not found: {planted}");
    }
    for allowed in ["use crate::edge::kafka::Record;", "use super::Record;", "use super::super::kafka::Record;"] {
        assert_eq!(edge_complaints(&kafka, &code_of(allowed)), [""; 0], "{allowed}");
    }
    let admin = ["edge", "admin"].map(str::to_owned);
    assert!(!edge_complaints(&admin, "use super::kafka::Record;").is_empty());
}

/// What is wrong in the files of a folder, each with its file.
fn check(folder: &str, complaints: impl Fn(&[String], &str) -> Vec<String>) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    assert!(files.len() > 4, "no sources in {folder}: {files:?}");
    let of_file = |file: &PathBuf| {
        let module = module_of(file.strip_prefix(&root).unwrap());
        let found = complaints(&module, &code_of(&fs::read_to_string(file).unwrap()));
        found.into_iter().map(|complaint| format!("{}: {complaint}", file.display())).collect::<Vec<_>>()
    };
    files.iter().flat_map(of_file).collect()
}

/// The sources below a folder, without those that hold only tests.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            files.push(path);
        }
    }
    files
}

/// `edge/kafka/mod.rs` and `edge/kafka.rs` are the module `edge::kafka`.
fn module_of(file: &Path) -> Vec<String> {
    let path = file.with_extension("");
    let names = path.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "mod").collect()
}

/// The names of all crates in Cargo.toml, as code writes them.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../Cargo.toml");
    let is_header = |line: &&str| line.starts_with('[');
    let mut names = Vec::new();
    let mut is_inside = false;
    for line in manifest.lines() {
        if is_header(&line) {
            is_inside = line.contains("dependencies");
        } else if let (true, Some((name, _))) = (is_inside, line.split_once('=')) {
            names.push(name.trim().replace('-', "_"));
        }
    }
    names
}

fn domain_complaints(module: &[String], code: &str, dependencies: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    for word in tokens(code) {
        if ["async", "await"].contains(&word.as_str()) {
            complaints.push(format!("`{word}`: rules do not wait"));
        }
    }
    for path in paths(code) {
        let Some(path) = absolute(module, &path) else {
            complaints.push(format!("`{}` leads out of the crate", path.join("::")));
            continue;
        };
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let is_wrong = match names.as_slice() {
            ["crate", "domain", ..] => false,
            ["crate", ..] => true,
            ["std" | "core", second, ..] if OUTSIDE.contains(second) => true,
            ["std", "time", "SystemTime" | "Instant", ..] => true,
            [_, .., "now" | "system"] => true,
            [first, ..] => dependencies.iter().any(|name| name == first) && !DOMAIN_CRATES.contains(first),
            [] => false,
        };
        if is_wrong {
            complaints.push(format!("`{}` is none of the domain's business", names.join("::")));
        }
    }
    complaints
}

fn edge_complaints(module: &[String], code: &str) -> Vec<String> {
    let absolute = paths(code).into_iter().filter_map(|path| absolute(module, &path));
    let of_another = |path: &Vec<String>| {
        path.len() > 2 && path[0] == "crate" && path[1] == "edge" && module.get(1).is_some_and(|own| path[2] != *own)
    };
    absolute.filter(of_another).map(|path| format!("`{}` is another edge", path.join("::"))).collect()
}

/// The path with `super` and `self` worked out; None when it leads above the crate.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = vec!["crate".to_owned()];
    base.extend_from_slice(module);
    let n_super = path.iter().take_while(|name| *name == "super").count();
    match path.first().map(String::as_str) {
        Some("super") if n_super < base.len() => base.truncate(base.len() - n_super),
        Some("super") => return None,
        Some("self") => return Some(base.into_iter().chain(path[1..].iter().cloned()).collect()),
        _ => return Some(path.to_vec()),
    }
    Some(base.into_iter().chain(path[n_super..].iter().cloned()).collect())
}

/// Every path of two names or more, and what stands behind `use`. Groups in braces become a path each.
fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_used = at > 0 && tokens[at - 1] == "use";
        let mut here = Vec::new();
        let next = read_path(&tokens, at, &[], &mut here);
        found.extend(here.into_iter().filter(|path| path.len() > 1 || is_used));
        at = next.max(at + 1);
    }
    found
}

/// Reads a path from `at` on, behind `prefix`, and returns where it ends.
fn read_path(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    if tokens.get(at).is_some_and(|token| token == "::") {
        at += 1;
    }
    while let Some(name) = tokens.get(at).filter(|token| is_name(token)) {
        path.push(name.clone());
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
        if tokens.get(at).is_some_and(|token| token == "{") {
            return read_group(tokens, at + 1, &path, found);
        }
    }
    if path.len() > prefix.len() {
        found.push(path);
    }
    at
}

fn read_group(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "}" => return at + 1,
            "{" => at = read_group(tokens, at + 1, prefix, found),
            _ => at = read_path(tokens, at, prefix, found).max(at + 1),
        }
    }
    at
}

fn is_name(token: &str) -> bool {
    // Words that may stand before a path that begins with `::`.
    const KEYWORDS: [&str; 8] = ["use", "as", "in", "return", "mut", "dyn", "impl", "for"];
    !KEYWORDS.contains(&token) && token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
        let length = match first {
            _ if is_word(first) => rest.find(|sign| !is_word(sign)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// The code without comments, texts, and modules of tests.
fn code_of(source: &str) -> String {
    without_tests(&without_comments_and_texts(source))
}

fn without_comments_and_texts(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_length(rest, code.chars().next_back());
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// How long the comment or text is that starts here; 0 when none does.
fn skipped_length(rest: &str, before: Option<char>) -> usize {
    let starts_a_word = before.is_none_or(|before| !before.is_alphanumeric() && before != '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return comment_length(rest);
    }
    if let (true, Some(raw)) = (starts_a_word, rest.strip_prefix('r')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 1 + hashes + 1;
            return rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len());
        }
    }
    match rest.chars().next() {
        Some('"') => text_length(rest, '"'),
        // A lifetime has no quote behind its first letter.
        Some('\'') if rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'') => text_length(rest, '\''),
        _ => 0,
    }
}

fn comment_length(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn text_length(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if sign == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let Some((before, behind)) = code.split_once(MARK) else { return code.to_owned() };
    let end = match (behind.find('{'), behind.find(';')) {
        (Some(open), semicolon) if semicolon.is_none_or(|semicolon| open < semicolon) => block_end(behind, open),
        (_, Some(semicolon)) => semicolon + 1,
        _ => behind.len(),
    };
    format!("{before}{}", without_tests(&behind[end..]))
}

fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, sign) in code.char_indices().skip_while(|(at, _)| *at < open) {
        depth += match sign {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}
