//! The tree as `nix-instantiate --parse` prints it, and the printing of names and strings.
//!
//! Absent: values (`value/print.rs`).

use super::tree::{Tree, TreeId, TreeName, TreeNode, TreeValue};
use crate::program::{PathBase, Range, Symbol};
use syntax::BinaryOperator;

/// What path literals are relative to.
#[derive(Clone, Copy, Debug)]
pub struct PrintOptions<'a> {
    /// The folder of the text, absolute.
    pub folder: &'a [u8],
    /// The user's home.
    pub home: &'a [u8],
}

/// Names that need quotes.
const KEYWORDS: [&[u8]; 9] = [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];

/// Appends a name, in quotes where the language needs them.
pub fn print_identifier(name: &[u8], out: &mut Vec<u8>) {
    let plain = match name {
        [first, rest @ ..] => {
            (first.is_ascii_alphabetic() || *first == b'_')
                && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'' | b'-'))
                && !KEYWORDS.contains(&name)
        }
        [] => false,
    };
    if plain { out.extend_from_slice(name) } else { print_string(name, out) }
}

/// Appends a string literal.
pub fn print_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b'$' if text.get(index + 1) == Some(&b'{') => out.extend(b"\\$"),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

/// A name for a message.
pub(super) fn identifier_text(name: &[u8]) -> String {
    let mut text = Vec::with_capacity(name.len());
    print_identifier(name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Prints a whole file.
pub(super) fn print_tree(tree: &Tree, options: &PrintOptions<'_>) -> Vec<u8> {
    print_node(tree, tree.root, options)
}

/// Prints one expression of a file.
pub(super) fn print_node(tree: &Tree, node: TreeId, options: &PrintOptions<'_>) -> Vec<u8> {
    let mut printer = Printer { tree, options, out: Vec::new() };
    printer.node(node);
    printer.out
}

struct Printer<'t> {
    tree: &'t Tree,
    options: &'t PrintOptions<'t>,
    out: Vec<u8>,
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, name: Symbol) {
        print_identifier(self.tree.symbol(name), &mut self.out);
    }

    fn node(&mut self, id: TreeId) {
        match self.tree.node(id) {
            TreeNode::Int(index) => {
                let text = self.tree.integers[index as usize].to_string();
                self.text(&text);
            }
            TreeNode::Float(index) => {
                let text = six_digits(self.tree.floats[index as usize]);
                self.text(&text);
            }
            TreeNode::String(range) => print_string(self.tree.bytes(range), &mut self.out),
            TreeNode::Path(base, range) => self.path(base, range),
            TreeNode::Variable(name) => self.name(name),
            TreeNode::CurrentPosition => self.text("__curPos"),
            TreeNode::Select(index) => self.select(index),
            TreeNode::Has(index) => {
                let select = self.tree.selects[index as usize];
                self.text("((");
                self.node(select.base);
                self.text(") ? ");
                self.attribute_path(select.path);
                self.text(")");
            }
            TreeNode::Set(set) => {
                self.text(if self.tree.sets[set as usize].recursive { "rec { " } else { "{ " });
                self.bindings(set);
                self.text("}");
            }
            TreeNode::List(range) => {
                self.text("[ ");
                for &id in &self.tree.extra[range.indices()] {
                    self.text("(");
                    self.node(id);
                    self.text(") ");
                }
                self.text("]");
            }
            TreeNode::Lambda(index) => self.lambda(index),
            TreeNode::Let(set, body) => {
                self.text("(let ");
                self.bindings(set);
                self.text("in ");
                self.node(body);
                self.text(")");
            }
            TreeNode::With(scope, body) => {
                self.text("(with ");
                self.node(scope);
                self.text("; ");
                self.node(body);
                self.text(")");
            }
            TreeNode::Assert(condition, body) => {
                self.text("assert ");
                self.node(condition);
                self.text("; ");
                self.node(body);
            }
            TreeNode::If(at) => {
                let at = at as usize;
                for (word, index) in [("(if ", 0), (" then ", 1), (" else ", 2)] {
                    self.text(word);
                    self.node(self.tree.extra[at + index]);
                }
                self.text(")");
            }
            TreeNode::Not(operand) => {
                self.text("(! ");
                self.node(operand);
                self.text(")");
            }
            TreeNode::Call(..) | TreeNode::Negate(_) | TreeNode::SearchPath(_) => {
                self.text("(");
                self.call(id);
                self.text(")");
            }
            TreeNode::Binary(..) => self.operators(id),
            TreeNode::Interpolate(range) | TreeNode::InterpolatePath(range) => {
                self.text("(");
                for (index, &id) in self.tree.extra[range.indices()].iter().enumerate() {
                    if index > 0 {
                        self.text(" + ");
                    }
                    self.node(id);
                }
                self.text(")");
            }
        }
    }

    /// What C++ Nix has as one call, without its parentheses.
    fn call(&mut self, id: TreeId) {
        match self.tree.node(id) {
            TreeNode::Call(function, args) => {
                // Further arguments joined the call that the function is, but `f or` is one of its own.
                let first = self.tree.arguments(args).first().map(|argument| self.tree.offsets[*argument as usize]);
                if self.tree.is_call(function) && first != Some(self.tree.offsets[id as usize]) {
                    self.call(function);
                } else {
                    self.node(function);
                }
                for &argument in self.tree.arguments(args) {
                    self.text(" ");
                    self.node(argument);
                }
            }
            TreeNode::Negate(operand) => {
                self.text("__sub 0 ");
                self.node(operand);
            }
            TreeNode::SearchPath(range) => {
                self.text("__findFile __nixPath ");
                print_string(self.tree.bytes(range), &mut self.out);
            }
            TreeNode::Binary(operator, at) => {
                let (left, right) = (self.tree.extra[at as usize], self.tree.extra[at as usize + 1]);
                let (function, first, second) = match operator {
                    BinaryOperator::Subtract => ("__sub ", left, right),
                    BinaryOperator::Multiply => ("__mul ", left, right),
                    BinaryOperator::Divide => ("__div ", left, right),
                    BinaryOperator::Greater | BinaryOperator::LessEqual => ("__lessThan ", right, left),
                    _ => ("__lessThan ", left, right),
                };
                self.text(function);
                self.node(first);
                self.text(" ");
                self.node(second);
            }
            _ => self.node(id),
        }
    }

    /// Operators, walking down left operands without recursion.
    fn operators(&mut self, id: TreeId) {
        let mut spine = Vec::new();
        let mut leftmost = id;
        while let TreeNode::Binary(operator, at) = self.tree.node(leftmost)
            && let Some(sign) = sign(operator)
        {
            self.text("(");
            spine.push((sign, self.tree.extra[at as usize + 1]));
            leftmost = self.tree.extra[at as usize];
        }
        match self.tree.node(leftmost) {
            TreeNode::Binary(BinaryOperator::LessEqual | BinaryOperator::GreaterEqual, _) => {
                self.text("(! (");
                self.call(leftmost);
                self.text("))");
            }
            TreeNode::Binary(..) => {
                self.text("(");
                self.call(leftmost);
                self.text(")");
            }
            _ => self.node(leftmost),
        }
        while let Some((sign, right)) = spine.pop() {
            self.text(sign);
            self.node(right);
            self.text(")");
        }
    }

    fn select(&mut self, index: u32) {
        let select = self.tree.selects[index as usize];
        self.text("(");
        self.node(select.base);
        self.text(").");
        self.attribute_path(select.path);
        if let Some(default) = select.default {
            self.text(" or (");
            self.node(default);
            self.text(")");
        }
    }

    fn attribute_path(&mut self, path: Range) {
        for (index, name) in self.tree.names[path.indices()].iter().enumerate() {
            if index > 0 {
                self.text(".");
            }
            match *name {
                TreeName::Static(name) => self.name(name),
                TreeName::Dynamic(id) => {
                    self.text("\"${");
                    self.node(id);
                    self.text("}\"");
                }
            }
        }
    }

    /// Inherited names first, then those from each source, then the rest, each in the order of their bytes.
    fn bindings(&mut self, set: u32) {
        let tree = self.tree;
        let mut bindings: Vec<_> = tree.bindings_of(set).collect();
        bindings.sort_by_key(|binding| tree.symbol(binding.name));
        let inherited: Vec<_> =
            bindings.iter().filter(|binding| matches!(binding.value, TreeValue::Inherited)).collect();
        if !inherited.is_empty() {
            self.text("inherit");
            for binding in inherited {
                self.text(" ");
                self.name(binding.name);
            }
            self.text("; ");
        }
        let definition = &tree.sets[set as usize];
        let mut from: Vec<Vec<Symbol>> = vec![Vec::new(); definition.sources.len()];
        for binding in &bindings {
            if let TreeValue::From(source) = binding.value {
                from[source as usize].push(binding.name);
            }
        }
        for (&source, names) in definition.sources.iter().zip(from) {
            if names.is_empty() {
                continue;
            }
            self.text("inherit (");
            self.node(source);
            self.text(")");
            for name in names {
                self.text(" ");
                self.name(name);
            }
            self.text("; ");
        }
        for binding in &bindings {
            if let TreeValue::Plain(value) = binding.value {
                self.name(binding.name);
                self.text(" = ");
                self.node(value);
                self.text("; ");
            }
        }
        for dynamic in &definition.dynamics {
            self.text("\"${");
            self.node(dynamic.name);
            self.text("}\" = ");
            self.node(dynamic.value);
            self.text("; ");
        }
    }

    fn lambda(&mut self, index: u32) {
        let tree = self.tree;
        let lambda = tree.lambdas[index as usize];
        self.text("(");
        if lambda.has_formals {
            self.text("{ ");
            let mut formals = tree.formals[lambda.formals.indices()].to_vec();
            formals.sort_by_key(|formal| tree.symbol(formal.name));
            for (index, formal) in formals.iter().enumerate() {
                if index > 0 {
                    self.text(", ");
                }
                self.name(formal.name);
                if let Some(default) = formal.default {
                    self.text(" ? ");
                    self.node(default);
                }
            }
            if lambda.ellipsis {
                self.text(if formals.is_empty() { "..." } else { ", ..." });
            }
            self.text(" }");
            if lambda.argument != Symbol::NONE {
                self.text(" @ ");
            }
        }
        if lambda.argument != Symbol::NONE {
            self.name(lambda.argument);
        }
        self.text(": ");
        self.node(lambda.body);
        self.text(")");
    }

    fn path(&mut self, base: PathBase, range: Range) {
        let literal = self.tree.bytes(range);
        match base {
            PathBase::Home => {
                self.out.extend_from_slice(self.options.home);
                self.out.extend_from_slice(literal);
            }
            PathBase::Absolute => self.normal_path(b"", literal),
            PathBase::File => self.normal_path(self.options.folder, literal),
        }
    }

    /// A path without `.`, `..` and doubled slashes, but with the slash it ends in.
    fn normal_path(&mut self, folder: &[u8], literal: &[u8]) {
        let mut segments: Vec<&[u8]> = Vec::new();
        for segment in folder.split(|&byte| byte == b'/').chain(literal.split(|&byte| byte == b'/')) {
            match segment {
                b"" | b"." => {}
                b".." => {
                    segments.pop();
                }
                segment => segments.push(segment),
            }
        }
        for segment in &segments {
            self.out.push(b'/');
            self.out.extend_from_slice(segment);
        }
        if segments.is_empty() || (literal.len() > 1 && literal.last() == Some(&b'/')) {
            self.out.push(b'/');
        }
    }
}

/// The sign of an operator that is printed between its operands.
fn sign(operator: BinaryOperator) -> Option<&'static str> {
    Some(match operator {
        BinaryOperator::Implies => " -> ",
        BinaryOperator::Or => " || ",
        BinaryOperator::And => " && ",
        BinaryOperator::Equal => " == ",
        BinaryOperator::NotEqual => " != ",
        BinaryOperator::Update => " // ",
        BinaryOperator::Add => " + ",
        BinaryOperator::Concat => " ++ ",
        _ => return None,
    })
}

/// A float as C's `%g` prints it.
fn six_digits(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_string() } else { "0".to_string() };
    }
    let scientific = format!("{value:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    trim(&format!("{value:.*}", (5 - exponent) as usize))
}
