//! What an evaluation did, as JSON under C++ Nix's names: for `NIX_SHOW_STATS`.
//!
//! `NIX_SHOW_STATS_PATH` names a file for it, `NIX_COUNT_CALLS` adds every function and builtin with its calls. What C++ Nix
//! counts and nothing here corresponds to is 0, so that readers find every name. Without `NIX_SHOW_STATS` nothing is counted.

use std::io::Write as _;

use evaluator::{FunctionCalls, Origin, Statistics};
use serde_json::{Map, Value, json};
use session::Settings;

/// Whether statistics are asked for.
pub fn wanted(settings: &Settings) -> bool {
    is_on(settings, "NIX_SHOW_STATS")
}

fn is_on(settings: &Settings, variable: &str) -> bool {
    settings.around.text(variable).is_some_and(|text| text != "0")
}

/// Writes them to standard error or to the file that the environment names.
///
/// # Errors
/// A file that cannot be written.
pub fn show(settings: &Settings, statistics: &Statistics) -> std::io::Result<()> {
    let mut value = form(statistics, processor_seconds());
    if is_on(settings, "NIX_COUNT_CALLS") {
        add_calls(&mut value, statistics);
    }
    let text = format!("{value:#}\n");
    match settings.around.text("NIX_SHOW_STATS_PATH") {
        Some(path) if path != "-" => std::fs::write(path, text),
        _ => std::io::stderr().write_all(text.as_bytes()),
    }
}

/// The time that all threads of this process spent so far, in steps of a hundredth of a second; 0 where the system does not
/// say.
fn processor_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold anything; the times are twelfth and thirteenth behind it.
    let times = told.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn form(statistics: &Statistics, seconds: f64) -> Value {
    let calls: u64 = statistics.function_calls.iter().map(|function| function.count).sum();
    let builtins: u64 = statistics.builtin_calls.iter().map(|(_, count)| count).sum();
    json!({
        "cpuTime": seconds,
        "envs": { "bytes": 0, "elements": 0, "number": 0 },
        "gc": {
            "cycles": statistics.heap.collections,
            "heapSize": statistics.heap.reserved,
            "totalBytes": statistics.heap.allocated,
        },
        "list": { "bytes": 0, "concats": 0, "elements": 0 },
        "nrAvoided": 0,
        "nrExprs": statistics.expressions,
        "nrFunctionCalls": calls,
        "nrLookups": 0,
        "nrOpUpdateValuesCopied": 0,
        "nrOpUpdates": 0,
        "nrPrimOpCalls": builtins,
        "nrThunks": 0,
        "sets": { "bytes": 0, "elements": 0, "number": 0 },
        // Bytes of an environment without its slots, of a value, of a set without its attributes, of an attribute.
        "sizes": { "Attr": 16, "Bindings": 16, "Env": 8, "Value": 8 },
        "symbols": { "bytes": statistics.symbol_bytes, "number": statistics.symbols },
        "time": { "cpu": seconds, "gc": 0, "gcFraction": 0 },
        "values": { "bytes": 0, "number": 0 },
    })
}

fn add_calls(value: &mut Value, statistics: &Statistics) {
    let builtins: Map<String, Value> =
        statistics.builtin_calls.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
    value["attributes"] = Value::Null;
    value["functions"] = statistics.function_calls.iter().map(function).collect();
    value["primops"] = builtins.into();
}

fn function(function: &FunctionCalls) -> Value {
    let mut value = json!({ "count": function.count, "name": function.name });
    if let Some(position) = &function.position {
        value["column"] = position.column.into();
        value["line"] = position.line.into();
        if let Origin::File(path) = &position.origin {
            value["file"] = (**path).into();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use evaluator::{HeapStatistics, Position};

    use super::*;

    #[test]
    fn the_names_are_those_that_readers_know() {
        let position =
            Position { origin: Origin::File("/a.nix".into()), line: 2, column: 3, source: [None, None, None] };
        let statistics = Statistics {
            heap: HeapStatistics { allocated: 30, reserved: 20, collections: 1 },
            expressions: 5,
            symbols: 6,
            symbol_bytes: 7,
            builtin_calls: vec![("length", 2), ("map", 1)],
            function_calls: vec![
                FunctionCalls { name: Some("f".to_owned()), position: Some(position), count: 8 },
                FunctionCalls { name: None, position: None, count: 9 },
            ],
        };
        let mut value = form(&statistics, 0.5);
        add_calls(&mut value, &statistics);
        assert_eq!(value["gc"], json!({ "cycles": 1, "heapSize": 20, "totalBytes": 30 }));
        assert_eq!((&value["nrFunctionCalls"], &value["nrPrimOpCalls"]), (&json!(17), &json!(3)));
        assert_eq!(value["primops"], json!({ "length": 2, "map": 1 }));
        let f = json!({ "column": 3, "count": 8, "file": "/a.nix", "line": 2, "name": "f" });
        assert_eq!(value["functions"], json!([f, { "count": 9, "name": null }]));
        let Value::Object(map) = value else { panic!("an object") };
        let mut names: Vec<&String> = map.keys().collect();
        names.sort_unstable();
        let known = "attributes cpuTime envs functions gc list nrAvoided nrExprs nrFunctionCalls nrLookups \
             nrOpUpdateValuesCopied nrOpUpdates nrPrimOpCalls nrThunks primops sets sizes symbols time values";
        assert_eq!(names, known.split(' ').collect::<Vec<_>>());
    }
}
