//! What must be done for the wanted paths: pure, and grown step by step.
//!
//! [`Plan::want`] may come at any time, also while builds run. The plan says what it must know next
//! ([`Plan::questions`]: derivations to read, paths whose validity counts), takes the answers as facts
//! ([`Plan::learned`]), and lets every node settle: present, ready, waiting, failed. A derivation whose wanted outputs are
//! valid is present, and its inputs are never looked at; otherwise everything it uses is wanted in turn. Each node and each
//! edge is touched a bounded number of times, so the cost is linear in the part of the graph that is looked at.
//!
//! A node may come to be another one (`plan/resolved.rs`): a derivation whose inputs are only known once they are built
//! becomes the derivation that names their paths, and an output that is a derivation becomes that derivation's node.
//!
//! Absent: reading, locks, processes (`run.rs`); which job goes first (`schedule.rs`).

mod objects;
mod resolved;

pub use objects::{Offer, Substitution};
pub use resolved::{Features, Learned};

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use objects::Outputs;
use store::BuildMode;
use store_model::{
    BuildStatus, ContentAddress, Derivation, DerivationKind, DerivedPath, DrvOutput, Hash, OutputMap, OutputName,
    OutputNames, OutputsSpec, Realisation, SingleDerivedPath, StoreDir, StorePath,
};

/// A derivation in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its derivation is not known yet.
    Unread,
    /// The validity of something it depends on is not known yet.
    Unsure,
    /// All wanted outputs are valid; nothing to do.
    Present,
    /// To be built, once what it uses is there.
    Waiting,
    /// Everything it uses is there.
    Ready,
    /// Handed out as a job.
    Running,
    /// Built here, in this plan.
    Built,
    /// It will not be built; why, and the kind of end.
    Failed(BuildStatus, String),
}

/// An answer to a question, or news of a job.
#[derive(Clone, Debug)]
pub enum Fact {
    /// The contents of a derivation.
    Derivation(StorePath, Arc<Derivation>),
    /// A derivation cannot be read.
    NoDerivation(StorePath, String),
    /// Whether a path is valid.
    Valid(StorePath, bool),
    /// The hash that a derivation's outputs go by, and what those became that are there.
    Realised(StorePath, Hash, OutputMap<StorePath>),
    /// What a substituter says that an output became.
    Offered(DrvOutput, Option<Realisation>),
    /// What substituters say of a path.
    Offer(StorePath, Option<Offer>),
    /// Where outputs of a node are, before it is told that they were built or are there.
    Outputs(NodeId, OutputMap<StorePath>),
    /// A job was begun.
    Started(NodeId),
    /// A job made all outputs.
    Built(NodeId),
    /// Another process made the outputs meanwhile.
    Present(NodeId),
    /// A job failed.
    Failed(NodeId, BuildStatus, String),
}

/// What the plan must know to go on, in bulk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Derivations to read.
    pub derivations: Vec<StorePath>,
    /// Derivations whose outputs the store is asked about.
    pub outputs: Vec<(StorePath, Arc<Derivation>)>,
    /// Paths to ask the store about.
    pub paths: Vec<StorePath>,
    /// Outputs that substituters are asked about.
    pub realisations: Vec<DrvOutput>,
    /// Paths to ask substituters about, with their addresses where these are known.
    pub offers: Vec<(StorePath, Option<ContentAddress>)>,
}

#[derive(Debug)]
struct Node {
    path: StorePath,
    derivation: Option<Arc<Derivation>>,
    outputs: OutputMap<Option<StorePath>>,
    wanted: OutputNames,
    all_wanted: bool,
    mode: BuildMode,
    state: State,
    /// It is wanted by itself, so that its result will be told.
    asked: bool,
    /// Inputs have been added as nodes.
    expanded: bool,
    /// It is a store object that is copied, not a derivation.
    object: bool,
    /// The output that is the derivation meant, and the node that makes it.
    chain: Option<(NodeId, OutputName, Box<SingleDerivedPath>)>,
    /// The node that stands for it, and whether that is waited for.
    alias: Option<NodeId>,
    following: bool,
    /// It came about by resolving, so its file need not be there.
    resolved: bool,
    /// What its outputs go by, where their paths follow from what is built.
    hash: Option<Hash>,
    /// What substituters say that its outputs became.
    offered: OutputMap<Realisation>,
    /// Its outputs were looked for and will be built.
    tried: bool,
    /// Its outputs are on their way.
    substituting: bool,
    /// The derivation itself is on its way, or was.
    fetching_drv: bool,
    fetched_drv: bool,
    dependents: Vec<NodeId>,
    /// Inputs that are not there yet, and those that will never be.
    unfinished: u32,
    failed_inputs: u32,
    rank: u32,
}

/// The plan.
#[derive(Debug)]
pub struct Plan {
    store_dir: StoreDir,
    nodes: Vec<Node>,
    by_path: HashMap<StorePath, NodeId>,
    valid: HashMap<StorePath, Option<bool>>,
    questions: Questions,
    unsure: Vec<NodeId>,
    ready: Vec<NodeId>,
    fresh_edges: bool,
    wanted_paths: Vec<StorePath>,
    substitution: Substitution,
    features: Features,
    objects: HashMap<StorePath, NodeId>,
    chains: HashMap<SingleDerivedPath, NodeId>,
    /// What substituters were asked about outputs, and answered.
    realisations: HashMap<DrvOutput, Option<Option<Realisation>>>,
    /// What became known of outputs and is to be noted in the store.
    learned: Vec<Learned>,
    /// What was resolved to what, to be told.
    news: Vec<(NodeId, NodeId)>,
    /// Why derivations failed that nobody tried to build, to be told: the results of their users do not repeat it.
    untold: Vec<String>,
    /// A mistake for which nothing is built.
    refused: Option<String>,
    /// By path what was asked, answered, and offered.
    offers: HashMap<StorePath, Option<Option<Offer>>>,
}

impl Plan {
    /// An empty plan for a store.
    pub fn new(store_dir: StoreDir) -> Self {
        Self {
            store_dir,
            nodes: Vec::new(),
            by_path: HashMap::new(),
            valid: HashMap::new(),
            questions: Questions::default(),
            unsure: Vec::new(),
            ready: Vec::new(),
            fresh_edges: false,
            wanted_paths: Vec::new(),
            substitution: Substitution::default(),
            features: Features::default(),
            objects: HashMap::new(),
            chains: HashMap::new(),
            realisations: HashMap::new(),
            learned: Vec::new(),
            news: Vec::new(),
            untold: Vec::new(),
            refused: None,
            offers: HashMap::new(),
        }
    }

    /// Adds something wanted. For outputs of a derivation the answer is its node.
    ///
    /// # Errors
    /// An output of an output without the experimental feature for that.
    pub fn want(&mut self, wanted: &DerivedPath, mode: BuildMode) -> Result<Option<NodeId>, String> {
        match wanted {
            DerivedPath::Opaque(path) => {
                self.ask_validity(path);
                if self.substitution.enabled {
                    self.want_object(path);
                }
                self.wanted_paths.push(path.clone());
                Ok(None)
            }
            DerivedPath::Built { drv: SingleDerivedPath::Built { .. }, .. } if !self.features.dynamic => {
                Err(resolved::disabled("dynamic-derivations"))
            }
            DerivedPath::Built { drv, outputs } => {
                let id = self.want_of(drv, outputs, mode);
                self.nodes[id.0 as usize].asked = true;
                Ok(Some(id))
            }
        }
    }

    /// Adds all outputs of a derivation that is given with its path; no file of it need be there.
    pub fn want_given(&mut self, path: &StorePath, derivation: Arc<Derivation>, mode: BuildMode) -> NodeId {
        let id = self.new_node(path);
        self.by_path.insert(path.clone(), id);
        let node = &mut self.nodes[id.0 as usize];
        (node.all_wanted, node.asked, node.mode) = (true, true, mode);
        self.read(id, derivation);
        id
    }

    fn want_outputs(&mut self, path: &StorePath, outputs: &OutputsSpec, mode: BuildMode) -> NodeId {
        let id = self.node(path);
        self.want_more(id, outputs, mode);
        id
    }

    /// More is wanted of a node.
    fn want_more(&mut self, id: NodeId, outputs: &OutputsSpec, mode: BuildMode) {
        let node = &mut self.nodes[id.0 as usize];
        match outputs {
            OutputsSpec::All => node.all_wanted = true,
            OutputsSpec::Names(names) => node.wanted.extend(names.iter().cloned()),
        }
        if mode != BuildMode::Normal {
            node.mode = mode;
        }
        if let (true, Some(alias)) = (node.following, node.alias) {
            return self.want_more(alias, outputs, mode);
        }
        // What was enough before may not be now.
        if node.state == State::Present {
            node.state = State::Unsure;
            self.unsure.push(id);
        }
    }

    fn node(&mut self, path: &StorePath) -> NodeId {
        if let Some(&id) = self.by_path.get(path) {
            return id;
        }
        let id = self.new_node(path);
        self.by_path.insert(path.clone(), id);
        self.questions.derivations.push(path.clone());
        id
    }

    fn new_node(&mut self, path: &StorePath) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node {
            path: path.clone(),
            derivation: None,
            outputs: OutputMap::new(),
            wanted: OutputNames::default(),
            all_wanted: false,
            mode: BuildMode::Normal,
            state: State::Unread,
            asked: false,
            expanded: false,
            object: false,
            chain: None,
            alias: None,
            following: false,
            resolved: false,
            hash: None,
            offered: OutputMap::new(),
            tried: false,
            substituting: false,
            fetching_drv: false,
            fetched_drv: false,
            dependents: Vec::new(),
            unfinished: 0,
            failed_inputs: 0,
            rank: 0,
        });
        id
    }

    fn ask_validity(&mut self, path: &StorePath) {
        if !self.valid.contains_key(path) {
            self.valid.insert(path.clone(), None);
            self.questions.paths.push(path.clone());
        }
    }

    /// Takes what must be found out next. When both lists are empty the plan is settled.
    pub fn questions(&mut self) -> Questions {
        std::mem::take(&mut self.questions)
    }

    /// Takes an answer or news. Call [`Plan::settle`] after a batch.
    pub fn learned(&mut self, fact: Fact) {
        match fact {
            Fact::Valid(path, valid) => {
                self.valid.insert(path, Some(valid));
            }
            Fact::Offer(path, offer) => {
                self.offers.insert(path, Some(offer));
            }
            Fact::Offered(id, realisation) => {
                self.realisations.insert(id, Some(realisation));
            }
            Fact::Realised(path, hash, outputs) => {
                if let Some(&id) = self.by_path.get(&path) {
                    self.realised(id, hash, outputs);
                }
            }
            Fact::Outputs(id, outputs) => self.became(id, outputs),
            Fact::NoDerivation(path, why) => {
                if let Some(&id) = self.by_path.get(&path)
                    && !self.fetch_derivation(id)
                {
                    self.fail(id, BuildStatus::MiscFailure, why);
                }
            }
            Fact::Derivation(path, derivation) => {
                if let Some(&id) = self.by_path.get(&path) {
                    self.read(id, derivation);
                }
            }
            Fact::Started(id) => self.nodes[id.0 as usize].state = State::Running,
            Fact::Built(id) => self.finish(id, State::Built),
            Fact::Present(id) => self.finish(id, State::Present),
            Fact::Failed(id, status, why) => self.spread_failure(id, status, why),
        }
    }

    fn read(&mut self, id: NodeId, derivation: Arc<Derivation>) {
        let outputs = derivation.output_paths(&self.store_dir).map_err(|error| error.to_string());
        match self.admitted(&derivation).and_then(|kind| Ok((kind, outputs?))) {
            Ok((kind, outputs)) => {
                outputs.values().flatten().for_each(|path| self.ask_validity(path));
                let node = &mut self.nodes[id.0 as usize];
                node.outputs = outputs;
                node.derivation = Some(Arc::clone(&derivation));
                if matches!(kind, DerivationKind::Floating | DerivationKind::Deferred) {
                    // What they became must be known before anything else.
                    let path = node.path.clone();
                    self.questions.outputs.push((path, derivation));
                    return;
                }
                node.state = State::Unsure;
                self.unsure.push(id);
                if kind == DerivationKind::Impure {
                    self.refuse_pure_users(id);
                }
            }
            Err(why) => self.fail(id, BuildStatus::InputRejected, why),
        }
    }

    /// Lets every node that was waiting for facts go as far as it can.
    pub fn settle(&mut self) {
        while !self.unsure.is_empty() {
            let mut stuck = Vec::new();
            for id in std::mem::take(&mut self.unsure) {
                if !self.consider(id) {
                    stuck.push(id);
                }
            }
            let moved = !self.unsure.is_empty();
            self.unsure.extend(stuck);
            if !moved {
                break;
            }
        }
    }

    /// Decides about one node; false where a fact is missing still.
    fn consider(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[id.0 as usize];
        if node.state != State::Unsure {
            return true;
        }
        if node.object {
            return self.consider_object(id);
        }
        if let Some(alias) = node.alias {
            self.follow(id, alias);
            return true;
        }
        let Some(derivation) = node.derivation.clone() else { return true };
        if !node.expanded {
            match self.wanted_outputs_valid(id) {
                Err(why) => {
                    self.refuse(id, why);
                    return true;
                }
                Ok(None) => return false,
                Ok(Some(true)) if node.mode == BuildMode::Normal => {
                    self.finish(id, State::Present);
                    return true;
                }
                Ok(Some(valid)) => {
                    if node.mode == BuildMode::Normal && self.may_substitute(id, &derivation) {
                        match self.substitute_outputs(id, &derivation) {
                            Outputs::Unknown => return false,
                            Outputs::Coming => return true,
                            Outputs::NotOffered => self.nodes[id.0 as usize].tried = true,
                        }
                    }
                    let node = &self.nodes[id.0 as usize];
                    if node.mode == BuildMode::Check && !valid {
                        let path = self.store_dir.print(&node.path);
                        let impure = derivation.kind() == Ok(DerivationKind::Impure);
                        let why = if impure { resolved::never_checked(&path) } else { unchecked(&path) };
                        self.fail(id, BuildStatus::MiscFailure, why);
                        return true;
                    }
                    self.expand(id, &derivation);
                }
            }
        }
        self.check_sources(id, &derivation)
    }

    /// Whether every wanted output is valid; `None` where that is not known.
    fn wanted_outputs_valid(&self, id: NodeId) -> Result<Option<bool>, String> {
        let node = &self.nodes[id.0 as usize];
        let unknown: Vec<_> = node.wanted.iter().filter(|name| !node.outputs.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let names: Vec<_> = unknown.iter().map(|name| format!("'{name}'")).collect();
            let path = self.store_dir.print(&node.path);
            return Err(format!("derivation '{path}' does not have wanted outputs {}", names.join(", ")));
        }
        let mut all = Some(true);
        for (name, path) in &node.outputs {
            if !node.all_wanted && !node.wanted.contains(name) {
                continue;
            }
            // An output without a known path is not there.
            match path.as_ref().map_or(Some(false), |path| self.valid.get(path).copied().flatten()) {
                Some(false) => return Ok(Some(false)),
                None => all = None,
                Some(true) => {}
            }
        }
        Ok(all)
    }

    fn expand(&mut self, id: NodeId, derivation: &Derivation) {
        self.nodes[id.0 as usize].expanded = true;
        for source in &derivation.input_srcs {
            self.ask_validity(source);
        }
        for (input, used) in &derivation.input_drvs {
            self.expand_input(id, &SingleDerivedPath::Opaque(input.clone()), used);
        }
    }

    fn check_sources(&mut self, id: NodeId, derivation: &Derivation) -> bool {
        // It may use what it must not.
        if matches!(self.nodes[id.0 as usize].state, State::Failed(..)) {
            return true;
        }
        let mut missing = Vec::new();
        for source in &derivation.input_srcs {
            match self.valid.get(source).copied().flatten() {
                None => return false,
                Some(false) => missing.push(source.clone()),
                Some(true) => {}
            }
        }
        if self.substitution.enabled && !missing.is_empty() {
            self.want_sources(id, &missing);
            return true;
        }
        if let Some(source) = missing.first() {
            let (source, user) = (self.store_dir.print(source), self.store_dir.print(&self.nodes[id.0 as usize].path));
            let why = format!("dependency '{source}' of '{user}' does not exist, and substitution is disabled");
            self.fail(id, BuildStatus::MiscFailure, why);
            return true;
        }
        self.nodes[id.0 as usize].state = State::Waiting;
        self.release(id);
        true
    }

    /// Moves a waiting node on when none of its inputs is open any more.
    fn release(&mut self, id: NodeId) {
        let node = &self.nodes[id.0 as usize];
        if node.unfinished != 0 {
            return;
        }
        if node.fetching_drv {
            return self.after_fetching(id);
        }
        if node.state != State::Waiting {
            return;
        }
        if node.substituting {
            return self.after_substitution(id);
        }
        if node.failed_inputs == 0 {
            if self.goes_on_elsewhere(id) {
                return;
            }
            self.nodes[id.0 as usize].state = State::Ready;
            self.ready.push(id);
        } else {
            let (status, text) = self.inherited(id);
            self.fail(id, status, text);
        }
    }

    fn dependency_failure(&self, id: NodeId) -> String {
        let node = &self.nodes[id.0 as usize];
        let count = node.failed_inputs;
        let noun = if count == 1 { "dependency" } else { "dependencies" };
        let path = self.store_dir.print(&node.path);
        format!("Cannot build '{path}'.\nReason: {count} {noun} failed.{}", self.output_list(id))
    }

    /// `Output paths:` and the paths that are known, as error messages end; empty without any.
    pub fn output_list(&self, id: NodeId) -> String {
        let known: BTreeSet<_> = self.nodes[id.0 as usize].outputs.values().flatten().collect();
        if known.is_empty() {
            return String::new();
        }
        known.iter().fold("\nOutput paths:".to_owned(), |text, path| text + "\n  " + &self.store_dir.print(path))
    }

    /// Whether something that is to be built waits for this node, and nobody else: its failure will not be told as a result.
    pub fn is_only_used(&self, id: NodeId) -> bool {
        self.has_dependents(id) && !self.nodes[id.0 as usize].asked
    }

    /// Whether something that is to be built waits for this node.
    pub fn has_dependents(&self, id: NodeId) -> bool {
        !self.nodes[id.0 as usize].dependents.is_empty()
    }

    fn finish(&mut self, id: NodeId, state: State) {
        let outputs: Vec<_> = self.nodes[id.0 as usize].outputs.values().flatten().cloned().collect();
        if state == State::Built {
            self.valid.extend(outputs.into_iter().map(|path| (path, Some(true))));
        }
        // An input that failed earlier counts once the last one is done.
        for dependent in self.close(id, state, false) {
            let (status, why) = self.inherited(dependent);
            self.fail(dependent, status, why);
        }
    }

    /// Why derivations failed of which nobody heard, since the last call: what they use is not there, or they are not as
    /// they must be.
    pub fn take_untold(&mut self) -> Vec<String> {
        std::mem::take(&mut self.untold)
    }

    /// A node fails by what the plan knows.
    fn fail(&mut self, id: NodeId, status: BuildStatus, why: String) {
        let node = &self.nodes[id.0 as usize];
        if !node.object && self.is_only_used(id) && status != BuildStatus::DependencyFailed {
            self.untold.push(why.clone());
        }
        self.spread_failure(id, status, why);
    }

    fn spread_failure(&mut self, id: NodeId, status: BuildStatus, why: String) {
        // Failures spread along a list, not by recursion: chains may be long.
        let mut next = vec![(id, status, why)];
        while let Some((id, status, why)) = next.pop() {
            for dependent in self.close(id, State::Failed(status, why), true) {
                let (status, why) = self.inherited(dependent);
                next.push((dependent, status, why));
            }
        }
    }

    /// Ends a node and counts down its dependents. Answers which of them fail with it.
    fn close(&mut self, id: NodeId, state: State, failed: bool) -> Vec<NodeId> {
        let node = &mut self.nodes[id.0 as usize];
        if matches!(node.state, State::Present | State::Built | State::Failed(..)) {
            return Vec::new();
        }
        node.state = state;
        if failed {
            self.tell_missing_sources(id);
        }
        let node = &mut self.nodes[id.0 as usize];
        let mut fail_too = Vec::new();
        // Each is told once, even if the node is opened again for another output.
        for dependent in std::mem::take(&mut node.dependents) {
            let user = &mut self.nodes[dependent.0 as usize];
            user.unfinished = user.unfinished.saturating_sub(1);
            user.failed_inputs += u32::from(failed);
            let gives_up = user.state == State::Waiting && !user.substituting;
            if gives_up && user.unfinished == 0 && user.failed_inputs != 0 {
                fail_too.push(dependent);
            } else {
                self.release(dependent);
            }
        }
        fail_too
    }

    /// Length of the longest chain of builds that waits for each node: what goes first shortens the whole.
    fn rank(&mut self) {
        // Dependents first: a node is done when all its dependents are.
        let mut open = vec![0u32; self.nodes.len()];
        for node in self.nodes.iter().filter(|node| node.expanded) {
            for NodeId(child) in self.below(node) {
                open[child as usize] += 1;
            }
        }
        let mut users_of_none: Vec<usize> = (0..open.len()).filter(|&at| open[at] == 0).collect();
        for node in &mut self.nodes {
            node.rank = 0;
        }
        while let Some(at) = users_of_none.pop() {
            let rank = self.nodes[at].rank + 1;
            if !self.nodes[at].expanded {
                continue;
            }
            for NodeId(child) in self.below(&self.nodes[at]) {
                let child = child as usize;
                self.nodes[child].rank = self.nodes[child].rank.max(rank);
                open[child] = open[child].saturating_sub(1);
                if open[child] == 0 {
                    users_of_none.push(child);
                }
            }
        }
    }

    /// Nodes that became ready since the last call, in the order they were wanted.
    pub fn take_ready(&mut self) -> Vec<NodeId> {
        // Not while the plan grows, level by level: that would walk it once per level.
        if std::mem::take(&mut self.fresh_edges) {
            self.rank();
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        ready
    }

    /// How many builds wait, in the longest chain, for this one; true as of the last [`Plan::take_ready`].
    pub fn rank_of(&self, id: NodeId) -> u32 {
        self.nodes[id.0 as usize].rank
    }

    /// Where a node stands.
    pub fn state(&self, id: NodeId) -> &State {
        &self.nodes[id.0 as usize].state
    }

    /// A node's derivation path.
    pub fn path(&self, id: NodeId) -> &StorePath {
        &self.nodes[id.0 as usize].path
    }

    /// What is asked of a node.
    pub fn mode(&self, id: NodeId) -> BuildMode {
        self.nodes[id.0 as usize].mode
    }

    /// A node's derivation, once read.
    pub fn derivation(&self, id: NodeId) -> Option<&Arc<Derivation>> {
        self.nodes[id.0 as usize].derivation.as_ref()
    }

    /// A node's outputs, with those paths that are known.
    pub fn outputs(&self, id: NodeId) -> &OutputMap<Option<StorePath>> {
        &self.nodes[id.0 as usize].outputs
    }

    /// The node of a derivation.
    pub fn find(&self, path: &StorePath) -> Option<NodeId> {
        self.by_path.get(path).copied()
    }

    /// What is known about a path.
    pub fn is_valid(&self, path: &StorePath) -> Option<bool> {
        self.valid.get(path).copied().flatten()
    }

    /// Every node, in the order they were first wanted.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// Derivations that will be built, in the order they were first wanted.
    pub fn to_build(&self) -> Vec<StorePath> {
        let building = |node: &&Node| {
            // What came about by resolving is told by the derivation that it came from.
            let coming = node.object || node.substituting || node.resolved || node.chain.is_some();
            !coming && matches!(node.state, State::Waiting | State::Ready | State::Running)
        };
        self.nodes.iter().filter(building).map(|node| node.path.clone()).collect()
    }

    /// Wanted paths, and sources of derivations that are to be built, which are neither valid nor made by anything here.
    pub fn unknown(&self) -> Vec<StorePath> {
        let nobody = |path: &&StorePath| {
            let coming = self.object_state(path).is_some_and(|state| !matches!(state, State::Failed(..)));
            self.is_valid(path) == Some(false) && !coming
        };
        self.wanted_paths.iter().filter(nobody).cloned().collect()
    }
}

fn unchecked(path: &str) -> String {
    format!(
        "some outputs of '{path}' are not valid, so checking is not possible\n\
         Hint: --rebuild and --check error if the derivation was not previously built and cannot be substituted.\n      \
         Remove it to perform a fresh build, or use --repair to rewrite missing or corrupted builds in the store."
    )
}
