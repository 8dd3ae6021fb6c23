//! Which ready job goes next: pure, a state and events.
//!
//! Two classes of job have bounds of their own: builds (`max-jobs`) and fetches (`http-connections`), which wait for the
//! network and use no core. In a class the most urgent job goes first (the loop counts how long a chain waits for it, and
//! how much it has to work on); among equals the one that was wanted first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::plan::NodeId;

/// What a job uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A core.
    Build,
    /// A connection.
    Fetch,
}

/// Ready jobs and free places.
#[derive(Debug)]
pub struct Schedule {
    ready: [BinaryHeap<(u32, Reverse<NodeId>)>; 2],
    running: [usize; 2],
    bounds: [usize; 2],
}

impl Schedule {
    /// Nothing to do yet. A bound of 0 admits nothing.
    pub fn new(builds: usize, fetches: usize) -> Self {
        Self { ready: Default::default(), running: [0; 2], bounds: [builds, fetches] }
    }

    /// A job can be started.
    pub fn ready(&mut self, id: NodeId, class: Class, urgency: u32) {
        self.ready[class as usize].push((urgency, Reverse(id)));
    }

    /// A started job ended, well or not.
    pub fn ended(&mut self, class: Class) {
        self.running[class as usize] = self.running[class as usize].saturating_sub(1);
    }

    /// The next job to start, if one is ready, has a place, and is admitted by whoever shares the places. It counts as
    /// running from now on.
    pub fn start_next(&mut self, mut admit: impl FnMut(Class) -> bool) -> Option<(NodeId, Class)> {
        for class in [Class::Fetch, Class::Build] {
            let at = class as usize;
            if self.has_place(class)
                && !self.ready[at].is_empty()
                && admit(class)
                && let Some((_, Reverse(id))) = self.ready[at].pop()
            {
                self.running[at] += 1;
                return Some((id, class));
            }
        }
        None
    }

    /// Whether another job of a class may run.
    pub fn has_place(&self, class: Class) -> bool {
        self.running[class as usize] < self.bounds[class as usize]
    }

    /// A job was started that was not in the queue.
    pub fn started(&mut self, class: Class) {
        self.running[class as usize] += 1;
    }

    /// Whether a job waits for a place.
    pub fn has_ready(&self) -> bool {
        self.ready.iter().any(|heap| !heap.is_empty())
    }

    /// The bounds of both classes.
    pub fn bounds(&self) -> [usize; 2] {
        self.bounds
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.running.iter().sum()
    }

    /// Forgets everything that was not started: after a failure nothing new begins.
    pub fn abandon(&mut self) {
        self.ready.iter_mut().for_each(BinaryHeap::clear);
    }
}
