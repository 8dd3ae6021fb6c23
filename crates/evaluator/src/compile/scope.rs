//! Which environment a name lies in.
//!
//! Names of a file are small numbers, so the innermost binding of each is one array element; entering a scope
//! overwrites the elements of its names and remembers the old ones. A look-up is one array access, however deep the
//! scopes are.
//!
//! Levels count the environment links at run time (the table in `program.rs`), the outermost being 1.

use crate::program::{CompileOptions, Symbol};

/// Where a name is bound, seen from the current place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A slot of an environment `depth` links up.
    Slot {
        /// Links to go up.
        depth: u32,
        /// Slot there.
        slot: u32,
    },
    /// The base scope.
    Global(u32),
    /// Perhaps in one of the surrounding `with`.
    With,
    /// Nowhere.
    Undefined,
}

/// No level: not bound in any scope of the file.
const UNBOUND: u32 = 0;
/// Not yet asked of the base scope.
const UNKNOWN: u32 = u32::MAX;
/// The base scope does not have it.
const ABSENT: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Place {
    level: u32,
    slot: u32,
}

/// The memory of [`Scopes`].
#[derive(Debug, Default)]
pub(super) struct Tables {
    places: Vec<Place>,
    /// The base scope's number of each name, once asked.
    globals: Vec<u32>,
    undo: Vec<(Symbol, Place)>,
    withs: Vec<(u32, u32)>,
}

/// The scopes around the current place.
pub(super) struct Scopes<'o> {
    tables: &'o mut Tables,
    base: &'o dyn Fn(&[u8]) -> Option<u32>,
    levels: u32,
}

/// What [`Scopes::leave`] needs.
#[must_use]
pub(super) struct Entered {
    undo: usize,
}

impl<'o> Scopes<'o> {
    pub(super) fn new(tables: &'o mut Tables, options: &CompileOptions<'o>, symbols: usize) -> Scopes<'o> {
        tables.places.clear();
        tables.places.resize(symbols, Place { level: UNBOUND, slot: 0 });
        tables.globals.clear();
        tables.globals.resize(symbols, UNKNOWN);
        tables.undo.clear();
        tables.withs.clear();
        Scopes { tables, base: options.base, levels: 0 }
    }

    /// One more environment link; names are then added by [`Scopes::bind`].
    pub(super) fn enter(&mut self) -> Entered {
        self.levels += 1;
        Entered { undo: self.tables.undo.len() }
    }

    /// Gives a name a slot of the innermost environment.
    #[inline]
    pub(super) fn bind(&mut self, name: Symbol, slot: u32) {
        let place = &mut self.tables.places[name.0 as usize];
        self.tables.undo.push((name, *place));
        *place = Place { level: self.levels, slot };
    }

    /// Back out of the innermost environment.
    pub(super) fn leave(&mut self, entered: Entered) {
        for (name, place) in self.tables.undo.drain(entered.undo..).rev() {
            self.tables.places[name.0 as usize] = place;
        }
        self.levels -= 1;
    }

    /// One more environment link, of a `with` at this offset.
    pub(super) fn enter_with(&mut self, offset: u32) {
        self.levels += 1;
        self.tables.withs.push((self.levels, offset));
    }

    /// Back out of a `with`.
    pub(super) fn leave_with(&mut self) {
        self.tables.withs.pop();
        self.levels -= 1;
    }

    /// How far up the surrounding `with` are, innermost first.
    pub(super) fn with_depths(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.tables.withs.iter().rev().map(|(level, _)| self.levels - level)
    }

    /// Where they are, in the same order.
    pub(super) fn with_offsets(&self) -> impl Iterator<Item = u32> + '_ {
        self.tables.withs.iter().rev().map(|(_, offset)| *offset)
    }

    /// Whether a scope of the file binds this name here.
    #[inline]
    pub(super) fn is_bound(&self, name: Symbol) -> bool {
        self.tables.places[name.0 as usize].level != UNBOUND
    }

    /// Looks a name up; `spelling` is what it reads.
    #[inline]
    pub(super) fn find(&mut self, name: Symbol, spelling: &[u8]) -> Found {
        let place = self.tables.places[name.0 as usize];
        if place.level != UNBOUND {
            return Found::Slot { depth: self.levels - place.level, slot: place.slot };
        }
        let global = &mut self.tables.globals[name.0 as usize];
        if *global == UNKNOWN {
            *global = (self.base)(spelling).unwrap_or(ABSENT);
        }
        match *global {
            ABSENT if self.tables.withs.is_empty() => Found::Undefined,
            ABSENT => Found::With,
            number => Found::Global(number),
        }
    }
}
