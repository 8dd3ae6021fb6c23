//! The part of a plan in which nodes come to be others: derivations whose outputs, or whose inputs' outputs, are not known
//! beforehand.
//!
//! What outputs became is a fact like others: the store is asked for it, then substituters. When all inputs of such a
//! derivation are there, it is *resolved*: the derivation that names their paths gets a node of its own, which may turn out
//! to have been built long ago, and the first node waits for that one and takes over its outputs. In the same way an output
//! that is itself a derivation (a *chain*) first waits for the node that makes it, then for that derivation's node. Impure
//! derivations are never looked for: they are built anew in every plan.
//!
//! What became known on the way is kept for the store to note ([`Plan::take_learned`]), with what was resolved to what
//! ([`Plan::take_resolved`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use store::BuildMode;
use store_model::{
    BuildStatus, ContentAddressMethod, Derivation, DerivationKind, DerivationOutput, DrvOutput, Hash, InputOutputs,
    OutputMap, OutputName, OutputNames, OutputsSpec, Realisation, SingleDerivedPath, StorePath,
};

use super::{Node, NodeId, Plan, State};

/// Kinds of derivations that are only built when that is asked for: C++ Nix's experimental features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Outputs that follow from what is built, and derivations that wait for such (`ca-derivations`).
    pub content_addressed: bool,
    /// Derivations that are built anew each time (`impure-derivations`).
    pub impure: bool,
    /// Outputs that are derivations themselves (`dynamic-derivations`).
    pub dynamic: bool,
}

/// What became known of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Which output, and its path.
    pub realisation: Realisation,
    /// It follows from what was built or found here, so our keys may vouch for it.
    pub own: bool,
}

impl Plan {
    /// Builds these kinds of derivations as well.
    pub fn with_features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }

    /// The kind of a derivation.
    ///
    /// # Errors
    /// It needs a feature that is off, or its outputs do not go together.
    pub(super) fn admitted(&self, derivation: &Derivation) -> Result<DerivationKind, String> {
        let kind = derivation.kind().map_err(|error| error.to_string())?;
        let features = self.features;
        let is_text = |output: &DerivationOutput| {
            matches!(output, DerivationOutput::CAFloating { method: ContentAddressMethod::Text, .. })
        };
        if !features.dynamic && derivation.outputs.values().any(is_text) {
            let feature = "dynamic-derivations";
            return Err(format!(
                "experimental Nix feature '{feature}' is disabled (text-hashed derivation output); add '--extra-experimental-features {feature}' to enable it"
            ));
        }
        let needed = match kind {
            _ if derivation.has_dynamic_inputs() && !features.dynamic => Some("dynamic-derivations"),
            DerivationKind::Floating | DerivationKind::Deferred if !features.content_addressed => {
                Some("ca-derivations")
            }
            DerivationKind::Impure if !features.impure => Some("impure-derivations"),
            _ => None,
        };
        needed.map_or(Ok(kind), |feature| Err(disabled(feature)))
    }

    /// The node for what is wanted of a derivation, however that is named.
    pub(super) fn want_of(&mut self, drv: &SingleDerivedPath, outputs: &OutputsSpec, mode: BuildMode) -> NodeId {
        let SingleDerivedPath::Built { drv: producer, output } = drv else {
            return self.want_outputs(drv.base(), outputs, mode);
        };
        if let Some(&id) = self.chains.get(drv) {
            self.want_more(id, outputs, mode);
            return id;
        }
        let made = OutputsSpec::Names(OutputNames::from([output.clone()]));
        let producer = self.want_of(producer, &made, BuildMode::Normal);
        let id = self.new_node(drv.base());
        self.chains.insert(drv.clone(), id);
        let node = &mut self.nodes[id.0 as usize];
        node.chain = Some((producer, output.clone(), Box::new(drv.clone())));
        (node.state, node.expanded) = (State::Waiting, true);
        self.want_more(id, outputs, mode);
        self.fresh_edges = true;
        self.connect(id, producer);
        self.go_on(id);
        id
    }

    /// Makes what is used of an input an edge, and that of its outputs.
    pub(super) fn expand_input(&mut self, id: NodeId, input: &SingleDerivedPath, used: &InputOutputs) {
        if !used.outputs.is_empty() {
            let child = self.want_of(input, &OutputsSpec::Names(used.outputs.clone()), BuildMode::Normal);
            self.fresh_edges = true;
            self.connect(id, child);
            self.refuse_impurity(id, child);
        }
        for (output, below) in &used.dynamic {
            let inner = SingleDerivedPath::Built { drv: Box::new(input.clone()), output: output.clone() };
            self.expand_input(id, &inner, below);
        }
    }

    /// An impure derivation was read: nothing pure may use it.
    pub(super) fn refuse_pure_users(&mut self, id: NodeId) {
        for user in self.nodes[id.0 as usize].dependents.clone() {
            self.refuse_impurity(user, id);
        }
    }

    /// Fails a derivation that is reproducible if it uses one that is not.
    fn refuse_impurity(&mut self, user: NodeId, used: NodeId) {
        let kind = |id: NodeId| self.derivation(id).and_then(|derivation| derivation.kind().ok());
        let may = matches!(kind(user), None | Some(DerivationKind::Impure | DerivationKind::Fixed));
        if may || kind(used) != Some(DerivationKind::Impure) {
            return;
        }
        let [user_path, used_path] = [user, used].map(|id| self.store_dir.print(self.path(id)));
        let why = format!("pure derivation '{user_path}' depends on impure derivation '{used_path}'");
        self.refused.get_or_insert(why.clone());
        self.fail(user, BuildStatus::MiscFailure, why);
    }

    /// A node fails by a mistake in what is wanted; where others need it, that is told instead of their failure.
    pub(super) fn refuse(&mut self, id: NodeId, why: String) {
        if self.has_dependents(id) || self.nodes[id.0 as usize].chain.is_some() {
            self.refused.get_or_insert(why.clone());
        }
        self.fail(id, BuildStatus::MiscFailure, why);
    }

    /// Why nothing at all is to be built: a mistake in what is wanted, not a build that failed.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The store said what outputs became.
    pub(super) fn realised(&mut self, id: NodeId, hash: Hash, outputs: OutputMap<StorePath>) {
        self.nodes[id.0 as usize].hash = Some(hash);
        outputs.values().for_each(|path| self.ask_validity(path));
        self.became(id, outputs);
        self.nodes[id.0 as usize].state = State::Unsure;
        self.unsure.push(id);
    }

    /// Outputs are at these paths.
    pub(super) fn became(&mut self, id: NodeId, outputs: OutputMap<StorePath>) {
        let known = &mut self.nodes[id.0 as usize].outputs;
        known.extend(outputs.into_iter().map(|(name, path)| (name, Some(path))));
    }

    /// What a substituter says that an output became; `None` while that is not known, or nobody was asked.
    pub(super) fn offered(&mut self, id: NodeId, output: &OutputName) -> Option<Option<Realisation>> {
        let Some(drv_hash) = self.nodes[id.0 as usize].hash else { return Some(None) };
        let key = DrvOutput { drv_hash, output: output.clone() };
        match self.realisations.get(&key) {
            Some(answer) => answer.clone(),
            None => {
                self.realisations.insert(key.clone(), None);
                self.questions.realisations.push(key);
                None
            }
        }
    }

    /// What was offered came.
    pub(super) fn take_over_offered(&mut self, id: NodeId) {
        let offered = std::mem::take(&mut self.nodes[id.0 as usize].offered);
        let paths = offered.iter().map(|(name, one)| (name.clone(), one.out_path.clone())).collect();
        self.became(id, paths);
        self.learned.extend(offered.into_iter().map(|(_, realisation)| Learned { realisation, own: false }));
    }

    /// All that a node waited for is there: whether it now waits for another node that stands for it, or takes over what
    /// that one made. False where it is built as it is.
    pub(super) fn goes_on_elsewhere(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[id.0 as usize];
        if let Some(alias) = node.alias {
            self.take_over(id, alias);
            return true;
        }
        let next = match (node.chain.clone(), node.derivation.clone()) {
            (Some((producer, output, request)), _) => {
                let made = self.outputs(producer).get(&output).cloned().flatten();
                self.after_producing(made, &request)
            }
            (None, Some(derivation)) => match derivation.should_resolve(self.features.content_addressed) {
                Ok(false) => return false,
                Ok(true) => self.resolve(id, &derivation),
                Err(error) => Err(error.to_string()),
            },
            (None, None) => return false,
        };
        match next {
            Ok(alias) => self.follow(id, alias),
            Err(why) => self.refuse(id, why),
        }
        true
    }

    /// The node of a derivation that was made.
    fn after_producing(&mut self, made: Option<StorePath>, request: &SingleDerivedPath) -> Result<NodeId, String> {
        match made {
            Some(path) if path.is_derivation() => Ok(self.node(&path)),
            Some(path) => Err(format!("path '{}' is not a derivation", self.store_dir.print(&path))),
            None => Err(format!("failed to obtain derivation of '{}'", request.print(&self.store_dir))),
        }
    }

    /// The node of the derivation with the paths of inputs in it.
    fn resolve(&mut self, id: NodeId, derivation: &Derivation) -> Result<NodeId, String> {
        let mut became = |input: &SingleDerivedPath, output: &OutputName| {
            let node = match input {
                SingleDerivedPath::Opaque(path) => self.by_path.get(path),
                chain => self.chains.get(chain),
            };
            self.outputs(*node?).get(output).cloned().flatten()
        };
        let resolved = derivation.resolve(&self.store_dir, &mut became).map_err(|error| error.to_string())?;
        let resolved = resolved.ok_or_else(|| {
            format!("some outputs of what '{}' uses are not known", self.store_dir.print(self.path(id)))
        })?;
        let path = resolved.to_text_object(&self.store_dir).map_err(|error| error.to_string())?.path;
        if let Some(&known) = self.by_path.get(&path) {
            self.news.push((id, known));
            return Ok(known);
        }
        let alias = self.new_node(&path);
        self.by_path.insert(path, alias);
        let rank = self.nodes[id.0 as usize].rank;
        let node = &mut self.nodes[alias.0 as usize];
        // Walking the whole plan for each would cost its square.
        (node.resolved, node.rank) = (true, rank);
        self.news.push((id, alias));
        self.read(alias, Arc::new(resolved));
        Ok(alias)
    }

    /// From now on a node is what another one becomes.
    pub(super) fn follow(&mut self, id: NodeId, alias: NodeId) {
        let node = &mut self.nodes[id.0 as usize];
        (node.alias, node.following, node.state) = (Some(alias), true, State::Waiting);
        let mode = node.mode;
        let wanted =
            if node.all_wanted { OutputsSpec::All } else { OutputsSpec::Names(node.wanted.iter().cloned().collect()) };
        self.want_more(alias, &wanted, mode);
        self.connect(id, alias);
        self.go_on(id);
    }

    /// The other node ended well.
    fn take_over(&mut self, id: NodeId, alias: NodeId) {
        // An output that nobody wanted may have its path and not be there.
        let made: OutputMap<StorePath> = self
            .outputs(alias)
            .iter()
            .filter_map(|(name, path)| Some((name.clone(), path.clone()?)))
            .filter(|(_, path)| self.is_valid(path) == Some(true))
            .collect();
        let node = &mut self.nodes[id.0 as usize];
        node.following = false;
        if let (Some(drv_hash), true) = (node.hash, node.mode != BuildMode::Check) {
            let learned = made.iter().filter(|(name, path)| node.outputs.get(*name) != Some(&Some((*path).clone())));
            self.learned.extend(learned.map(|(output, path)| Learned {
                realisation: Realisation {
                    id: DrvOutput { drv_hash, output: output.clone() },
                    out_path: path.clone(),
                    signatures: BTreeSet::new(),
                },
                own: true,
            }));
        }
        let state = self.nodes[alias.0 as usize].state.clone();
        self.became(id, made);
        self.finish(id, state);
    }

    /// Why a node fails that waited for one that stands for it, or for the one that makes it; `None` for others.
    pub(super) fn inherited_elsewhere(&self, id: NodeId) -> Option<(BuildStatus, String)> {
        let node = &self.nodes[id.0 as usize];
        match (&node.chain, node.alias.filter(|_| node.following)) {
            (Some(_), Some(alias)) => match self.state(alias) {
                State::Failed(status, why) => Some((*status, why.clone())),
                _ => None,
            },
            (Some((_, _, request)), None) => {
                let why = format!("failed to obtain derivation of '{}'", request.print(&self.store_dir));
                Some((BuildStatus::DependencyFailed, why))
            }
            (None, Some(alias)) => {
                let path = self.store_dir.print(self.path(alias));
                Some((BuildStatus::DependencyFailed, format!("build of resolved derivation '{path}' failed")))
            }
            (None, None) => None,
        }
    }

    /// The nodes that one waits for.
    pub(super) fn below(&self, node: &Node) -> Vec<NodeId> {
        let mut below: Vec<NodeId> = node.alias.into_iter().chain(node.chain.iter().map(|chain| chain.0)).collect();
        for (path, used) in node.derivation.iter().flat_map(|derivation| &derivation.input_drvs) {
            if !used.outputs.is_empty() {
                below.extend(self.by_path.get(path));
            }
            if !used.dynamic.is_empty() {
                self.chains_below(&SingleDerivedPath::Opaque(path.clone()), used, &mut below);
            }
        }
        below
    }

    fn chains_below(&self, input: &SingleDerivedPath, used: &InputOutputs, found: &mut Vec<NodeId>) {
        for (output, below) in &used.dynamic {
            let inner = SingleDerivedPath::Built { drv: Box::new(input.clone()), output: output.clone() };
            found.extend(self.chains.get(&inner));
            self.chains_below(&inner, below, found);
        }
    }

    /// What a node is in the end: itself, or the one that stands for it.
    pub fn end_of(&self, id: NodeId) -> NodeId {
        let mut end = id;
        // A circle cannot be: what a node comes to be is made later, and knows paths that follow from it.
        for _ in 0..self.nodes.len() {
            match self.nodes[end.0 as usize].alias {
                Some(alias) => end = alias,
                None => break,
            }
        }
        end
    }

    /// The key by which an output of a node goes, where its path follows from what is built.
    pub fn key_of(&self, id: NodeId, output: &OutputName) -> Option<DrvOutput> {
        Some(DrvOutput { drv_hash: self.nodes[id.0 as usize].hash?, output: output.clone() })
    }

    /// Whether the paths of a node's outputs were known before anything was built.
    pub fn is_known_beforehand(&self, id: NodeId) -> bool {
        let kind = self.derivation(id).and_then(|derivation| derivation.kind().ok());
        kind.is_some_and(DerivationKind::has_known_outputs)
    }

    /// Whether a node came about by resolving, so that its file may not be there yet.
    pub fn is_resolved(&self, id: NodeId) -> bool {
        self.nodes[id.0 as usize].resolved
    }

    /// What became known of outputs since the last call.
    pub fn take_learned(&mut self) -> Vec<Learned> {
        std::mem::take(&mut self.learned)
    }

    /// Whether something became known that the store should note.
    pub fn has_learned(&self) -> bool {
        !self.learned.is_empty()
    }

    /// Which derivations were resolved to which since the last call.
    pub fn take_resolved(&mut self) -> Vec<(NodeId, NodeId)> {
        std::mem::take(&mut self.news)
    }
}

/// Why an impure derivation is not built again to compare.
pub(super) fn never_checked(path: &str) -> String {
    format!("derivation '{path}' is impure: it is built anew each time, so there is nothing to compare a build with")
}

/// What is said where an experimental feature is off.
pub(super) fn disabled(feature: &str) -> String {
    format!(
        "experimental Nix feature '{feature}' is disabled; add '--extra-experimental-features {feature}' to enable it"
    )
}
