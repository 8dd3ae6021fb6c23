//! References as pictures: a tree of lines, Graphviz, GraphML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use store_model::StorePath;

use crate::command::CommandError;
use crate::output::build::Opened;

/// `--tree`: every path once with what it refers to, later ones as `[...]`.
pub fn tree(opened: &Opened<'_>, paths: &[StorePath]) -> Result<(), CommandError> {
    let mut done = BTreeSet::new();
    let mut text = String::new();
    // What is still to be drawn, the next one last: the path, the lines before it, the lines before what is below it.
    let mut open: Vec<(StorePath, String, String)> =
        paths.iter().rev().map(|path| (path.clone(), String::new(), String::new())).collect();
    while let Some((path, first, tail)) = open.pop() {
        let shown = opened.show(&path);
        if !done.insert(path.clone()) {
            let _ = writeln!(text, "{first}{shown} [...]");
            continue;
        }
        let _ = writeln!(text, "{first}{shown}");
        let references = opened.references_first(&opened.info(&path)?.references)?;
        let last = references.len().saturating_sub(1);
        for (number, reference) in references.into_iter().enumerate().rev() {
            let (branch, rest) = if number == last { ("└───", "    ") } else { ("├───", "│   ") };
            open.push((reference, format!("{tail}{branch}"), format!("{tail}{rest}")));
        }
    }
    opened.surface.print(text.as_bytes());
    Ok(())
}

/// Walks everything that some paths need in the order of their names.
fn walk(
    opened: &Opened<'_>,
    roots: Vec<StorePath>,
    mut visit: impl FnMut(&store_model::PathInfo),
) -> Result<(), CommandError> {
    let mut open: BTreeSet<StorePath> = roots.into_iter().collect();
    let mut done = BTreeSet::new();
    while let Some(path) = open.pop_first() {
        if !done.insert(path.clone()) {
            continue;
        }
        let info = opened.info(&path)?;
        visit(&info);
        open.extend(info.references.iter().filter(|other| **other != path).cloned());
    }
    Ok(())
}

/// `--graph`: Graphviz.
pub fn graph(opened: &Opened<'_>, roots: Vec<StorePath>) -> Result<(), CommandError> {
    const COLOURS: [&str; 6] = ["black", "red", "green", "blue", "magenta", "burlywood"];
    let mut text = String::from("digraph G {\n");
    let mut edges = 0;
    walk(opened, roots, |info| {
        let (id, name) = (info.path.as_str(), info.path.name());
        let _ = writeln!(text, "\"{id}\" [label = \"{name}\", shape = box, style = filled, fillcolor = \"#ff0000\"];");
        for other in info.references.iter().filter(|other| **other != info.path) {
            let colour = COLOURS[edges % COLOURS.len()];
            edges += 1;
            let _ = writeln!(text, "\"{}\" -> \"{id}\" [color = \"{colour}\"];", other.as_str());
        }
    })?;
    text.push_str("}\n");
    opened.surface.print(text.as_bytes());
    Ok(())
}

/// `--graphml`: GraphML.
pub fn graph_ml(opened: &Opened<'_>, roots: Vec<StorePath>) -> Result<(), CommandError> {
    let mut text = String::from(
        "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns='http://graphml.graphdrawing.org/xmlns'\n",
    );
    text.push_str("    xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'\n");
    text.push_str("    xsi:schemaLocation='http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd'>\n");
    for (key, kind) in [("narSize", "long"), ("name", "string"), ("type", "string")] {
        let _ = write!(text, "<key id='{key}' for='node' attr.name='{key}' attr.type='{kind}'/>");
    }
    text.push_str("<graph id='G' edgedefault='directed'>\n");
    walk(opened, roots, |info| {
        let id = info.path.as_str();
        let kind = if info.path.is_derivation() { "derivation" } else { "output-path" };
        let name = info.path.name();
        // C++ Nix shows the name up to its first hyphen only.
        let short = name.find('-').map_or(name, |at| &name[..=at]);
        let _ = writeln!(text, "  <node id=\"{id}\">");
        for (key, value) in [("narSize", info.nar_size.to_string().as_str()), ("name", short), ("type", kind)] {
            let _ = writeln!(text, "    <data key=\"{key}\">{value}</data>");
        }
        text.push_str("  </node>\n");
        for other in info.references.iter().filter(|other| **other != info.path) {
            let _ = writeln!(text, "  <edge source=\"{id}\" target=\"{}\"/>", other.as_str());
        }
    })?;
    text.push_str("</graph>\n</graphml>\n");
    opened.surface.print(text.as_bytes());
    Ok(())
}
