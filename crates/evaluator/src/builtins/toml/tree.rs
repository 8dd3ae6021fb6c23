//! Tables being filled, and what may not be put where.
//!
//! How a table came to be decides whether it may grow: by its head, by a dotted key, or only on the way to another.
//!
//! Absent: reading text.

use super::report::{Problem, Region};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Item,
    pub(super) place: Region,
}

/// A value.
#[derive(Debug)]
pub(super) enum Item {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
    Time(Timestamp),
    /// Elements; whether they are tables with heads of their own (`[[x]]`).
    List(Vec<Node>, bool),
    Table(Table),
}

/// A date, a time, or both.
#[derive(Debug, Default)]
pub(super) struct Timestamp {
    /// Year, month, day.
    pub(super) date: Option<[u32; 3]>,
    /// Hour, minute, second, nanosecond.
    pub(super) time: Option<[u32; 4]>,
    /// Minutes east of Greenwich.
    pub(super) offset: Option<i32>,
}

/// How a table came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// `{ … }`.
    Inline,
    /// By a dotted key.
    Dotted,
    /// On the way to another table.
    Implied,
    /// By its head.
    Headed,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) entries: BTreeMap<Vec<u8>, Node>,
    pub(super) origin: Origin,
}

impl Table {
    /// An empty one.
    pub(super) fn new(origin: Origin) -> Table {
        Table { entries: BTreeMap::new(), origin }
    }
}

/// What is put in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The table of a head.
    Table,
    /// The next table of a list of them.
    TableOfList,
    /// A value under a key.
    Value,
}

/// The names of a key and where it stands.
pub(super) type Key = (Vec<Vec<u8>>, Region);

/// Puts a value under a key; gives the table to fill, if it is one.
pub(super) fn insert(
    table: &mut Table,
    kind: Kind,
    (names, place): Key,
    node: Node,
) -> Result<Option<&mut Table>, Problem> {
    let mut names = names;
    let Some(last) = names.pop() else {
        return Err(Problem::new("toml::insert_key: no keys found", place, "here"));
    };
    let mut table = table;
    for name in names {
        table = descend(table, kind, name, place)?;
    }
    let entry = table.entries.entry(last);
    match kind {
        Kind::Value => insert_value(entry, place, node).map(|()| None),
        Kind::Table => insert_table(entry, place, node).map(Some),
        Kind::TableOfList => insert_in_list(entry, place, node).map(Some),
    }
}

fn descend(table: &mut Table, kind: Kind, name: Vec<u8>, place: Region) -> Result<&mut Table, Problem> {
    let origin = if kind == Kind::Value { Origin::Dotted } else { Origin::Implied };
    let made = || Node { value: Item::Table(Table::new(origin)), place };
    let node = table.entries.entry(name).or_insert_with(made);
    let there = node.place;
    match &mut node.value {
        Item::Table(next) if next.origin == Origin::Inline => {
            let title = "toml::insert_value: failed to insert a value: inline table is immutable";
            Err(Problem::new(title, place, "inserting this").and(there, "to this table"))
        }
        Item::Table(next) if kind == Kind::Value && next.origin != Origin::Dotted => {
            let title = "toml::insert_value: reopening a table using dotted keys";
            Err(Problem::new(title, place, "dotted key cannot reopen a table")
                .and(there, "this table is already closed"))
        }
        Item::Table(next) => Ok(next),
        Item::List(tables, headed) if is_of_tables(tables) => {
            if !*headed {
                let title = "toml::insert_value:inline array of tables are immutable";
                return Err(Problem::new(title, place, "inserting this").and(there, "inline array of tables"));
            }
            if kind == Kind::Value {
                let title = "toml::insert_value:dotted key cannot reopen an array-of-tables";
                return Err(Problem::new(title, place, "inserting this").and(there, "to this array-of-tables."));
            }
            match tables.last_mut() {
                Some(Node { value: Item::Table(last), .. }) => Ok(last),
                _ => Err(exists(place, there)),
            }
        }
        _ => Err(exists(place, there)),
    }
}

fn is_of_tables(nodes: &[Node]) -> bool {
    !nodes.is_empty() && nodes.iter().all(|node| matches!(node.value, Item::Table(_)))
}

fn exists(place: Region, there: Region) -> Problem {
    let title = "toml::insert_value: failed to insert a value, value already exists";
    Problem::new(title, place, "while inserting this").and(there, "non-table value already exists")
}

fn insert_value(entry: Entry<'_, Vec<u8>, Node>, place: Region, node: Node) -> Result<(), Problem> {
    match entry {
        Entry::Vacant(free) => {
            free.insert(node);
            Ok(())
        }
        Entry::Occupied(taken) => {
            let title = "toml::insert_value: failed to insert a value, value already exists";
            Err(Problem::new(title, place, "inserting this").and(taken.get().place, "but value already exists"))
        }
    }
}

fn insert_table<'t>(entry: Entry<'t, Vec<u8>, Node>, place: Region, node: Node) -> Result<&'t mut Table, Problem> {
    let closed = |there| {
        let title = "toml::insert_value: failed to insert a table, table already defined";
        Problem::new(title, place, "inserting this").and(there, "this table is explicitly defined")
    };
    let target = match entry {
        Entry::Vacant(free) => free.insert(node),
        Entry::Occupied(taken) => {
            let target = taken.into_mut();
            match &mut target.value {
                Item::Table(table) if table.origin == Origin::Implied => table.origin = Origin::Headed,
                _ => return Err(closed(target.place)),
            }
            target.place = node.place;
            target
        }
    };
    match &mut target.value {
        Item::Table(table) => Ok(table),
        _ => Err(closed(target.place)),
    }
}

fn insert_in_list<'t>(entry: Entry<'t, Vec<u8>, Node>, place: Region, node: Node) -> Result<&'t mut Table, Problem> {
    let taken = |there| {
        let title = "toml::insert_value: failed to insert an array of tables, value already exists";
        Problem::new(title, place, "while inserting this").and(there, "non-table value already exists")
    };
    let list = match entry {
        Entry::Vacant(free) => free.insert(Node { value: Item::List(vec![node], true), place }),
        Entry::Occupied(entry) => {
            let list = entry.into_mut();
            match &mut list.value {
                Item::List(tables, headed) if is_of_tables(tables) => {
                    if !*headed {
                        let title = "toml::insert_value: failed to insert a table, inline array of tables is immutable";
                        let problem = Problem::new(title, place, "while inserting this");
                        return Err(problem.and(list.place, "this is inline array-of-tables"));
                    }
                    tables.push(node);
                }
                _ => return Err(taken(list.place)),
            }
            list
        }
    };
    match &mut list.value {
        Item::List(tables, _) => match tables.last_mut() {
            Some(Node { value: Item::Table(last), .. }) => Ok(last),
            _ => Err(taken(place)),
        },
        _ => Err(taken(place)),
    }
}
