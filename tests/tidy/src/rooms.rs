//! How large a room may be, what stands at its door, and where sharp tools may lie.
#![cfg(test)]

use crate::tree::{complain, rust};

/// Lines that a file may have; tables are exempt by name.
const FILE_LINES: usize = 800;
/// Lines that a function may have.
const FUNCTION_LINES: usize = 120;
/// Files that are tables and nothing else.
const TABLES: &[&str] = &[];
/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &[
    "crates/builder/src/sandbox/",
    "crates/evaluator/src/heap/",
    "crates/evaluator/src/value/",
    "crates/evaluator/src/os.rs",
    "crates/store/src/os.rs",
];

#[test]
fn files_have_a_head_and_are_not_too_long() {
    let mut complaints = Vec::new();
    for file in rust() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES && !TABLES.contains(&file.path.as_str()) {
            complaints.push(format!("{}: {lines} lines, more than {FILE_LINES}: a room to split", file.path));
        }
        if !file.text.trim_start().starts_with("//!") {
            complaints.push(format!("{}: says nothing of its duty at its head", file.path));
        }
    }
    complain("files", &complaints);
}

#[test]
fn functions_are_not_too_long() {
    let mut complaints = Vec::new();
    for file in rust() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let is_function = code.split(" fn ").count() > 1 && !code.starts_with("//") || code.starts_with("fn ");
            if !is_function || line.trim_end().ends_with(';') {
                continue;
            }
            let close = format!("{}}}", " ".repeat(line.len() - code.len()));
            let end = lines[start..].iter().position(|candidate| *candidate == close).unwrap_or(0);
            if end > FUNCTION_LINES {
                complaints.push(format!("{}:{}: a function of {end} lines", file.path, start + 1));
            }
        }
    }
    complain(&format!("functions of more than {FUNCTION_LINES} lines"), &complaints);
}

#[test]
fn unsafe_stands_only_where_the_plan_says() {
    let mut complaints = Vec::new();
    for file in rust() {
        if UNSAFE.iter().any(|place| file.path.starts_with(place)) || file.path.starts_with("tests/tidy/") {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("]
                .iter()
                .any(|use_| code.contains(use_))
            {
                complaints.push(format!("{}:{}: unsafe", file.path, number + 1));
            }
        }
    }
    complain("unsafe outside its rooms", &complaints);
}

#[test]
fn values_live_on_the_evaluators_heap() {
    let mut complaints = Vec::new();
    for file in rust() {
        // The value stack is itself an enumerated root.
        let exempt = ["crates/evaluator/src/value/", "crates/evaluator/src/heap/stack.rs"];
        if !file.path.starts_with("crates/evaluator/src/") || exempt.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let code: String = line.split("//").next().unwrap_or_default().split_whitespace().collect();
            if ["Vec<Value>", "Box<Value>", ",Value>", "VecDeque<Value>"].iter().any(|word| {
                code.contains(word) && !code.contains("Result<") && (*word != ",Value>" || code.contains("Map<"))
            }) {
                complaints.push(format!("{}:{}: a Value in malloc memory: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    complain("a collector must find every Value", &complaints);
}
