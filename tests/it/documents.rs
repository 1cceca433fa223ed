//! What the documents say is so: the messages that they quote are in the code, the commands that they show can be given, and
//! each part of the operations guide names the tests that do what it says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::Setup;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Parts of the operations guide that say nothing which could be tried here: figures are the benchmarks'.
const NOT_TRIED: [&str; 1] = ["How large"];

/// Shorter pieces of a quotation prove nothing.
const SHORTEST_PIECE: usize = 8;

#[test]
fn each_message_in_troubleshooting_is_in_the_code() {
    let code = words(&sources("src"));
    let quoted: Vec<String> = document("docs/troubleshooting.md").lines().flat_map(quotations).collect();
    assert!(quoted.len() > 40, "the page has no quotations: {quoted:?}");
    let is_missing = |text: &&String| {
        let mut pieces = text.split("...").map(str::trim).filter(|piece| piece.len() >= SHORTEST_PIECE);
        pieces.any(|piece| !code.contains(&words(piece)))
    };
    let missing: Vec<&String> = quoted.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "quoted, and not in the code: {missing:#?}");
}

/// What stands in back quotes in the first column of a table.
fn quotations(line: &str) -> Vec<String> {
    let Some(first) = line.strip_prefix("| ").and_then(|row| row.split(" | ").next()) else { return Vec::new() };
    first.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Without the signs that a literal has in the code and not in the log, or the other way round.
fn words(text: &str) -> String {
    let lines = text.lines().map(str::trim).map(|line| line.strip_suffix('\\').unwrap_or(line));
    let joined: String = lines.collect::<Vec<_>>().join(" ").replace('`', "");
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_part_of_the_operations_guide_is_tried_by_tests_that_there_are() {
    let tests = sources("tests");
    let guide = document("docs/operations.md");
    for part in guide.split("\n## ").skip(1) {
        let title = part.lines().next().unwrap_or_default();
        let named: Vec<&str> = part.lines().filter_map(test_named_in).collect();
        assert_eq!(named.is_empty(), NOT_TRIED.contains(&title), "tests of `{title}`: {named:?}");
        for name in named {
            assert!(tests.contains(&format!("fn {name}(")), "`{title}` names a test that there is not: {name}");
        }
    }
}

fn test_named_in(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- test: ")?.strip_suffix(" -->")
}

/// Asks for the help of each: an option or a command that there is not is refused before that.
#[test]
fn each_command_of_callfeed_in_the_documents_can_be_given() {
    let documents = ["README.md", "docs/operations.md", "docs/troubleshooting.md"].map(document).join("\n");
    // Every second piece between fences is a block.
    let blocks = documents.split("```").skip(1).step_by(2);
    let commands: Vec<&str> = blocks.flat_map(str::lines).filter_map(command).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let words = shlex::split(command).unwrap_or_else(|| panic!("quotes without an end: {command}"));
        let with_help: Vec<&str> = words.iter().skip(1).map(String::as_str).chain(["--help"]).collect();
        let mut process = Setup::new(&with_help).run(Duration::from_secs(60));
        assert_eq!(process.exit_code(), 0, "{command}: {}", process.stderr());
    }
}

/// What a line gives callfeed to do.
fn command(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches("$ ");
    let line = line.split(" #").next().unwrap_or(line).trim();
    line.starts_with("callfeed ").then_some(line)
}

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// All Rust files below a folder.
fn sources(folder: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    text
}
