//! The part of a plan that copies instead of building: store objects that a substituter has.
//!
//! An object is a node too: it waits for what it refers to, is ready, running, built (copied) or failed. A derivation whose
//! wanted outputs are all on offer waits for these objects; when they came it is looked at again, and when one failed it is
//! built after all, unless the failure was that of a transfer and `fallback` is off. Paths that are wanted by themselves,
//! sources, and derivations that are not here become objects as well.

use store_model::{BuildStatus, ContentAddress, Derivation, DerivationOutput, OutputMap, StorePath};

use super::{NodeId, Plan, State};

/// What substituters say of a path that one of them has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// What it refers to, itself perhaps.
    pub references: Vec<StorePath>,
    /// Bytes to fetch.
    pub download_size: u64,
    /// Bytes that they unpack to.
    pub nar_size: u64,
}

/// Whether paths are copied from substituters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Substitution {
    /// They are.
    pub enabled: bool,
    /// Also outputs of derivations that would not have it (`always-allow-substitutes`).
    pub always: bool,
    /// What could not be transferred is built (`fallback`).
    pub fallback: bool,
}

/// How far a derivation's outputs are from being copied.
pub(super) enum Outputs {
    /// A substituter must be asked first.
    Unknown,
    /// They will be.
    Coming,
    /// They cannot.
    NotOffered,
}

impl Plan {
    /// Copies from substituters are part of this plan.
    pub fn substituting(mut self, how: Substitution) -> Self {
        self.substitution = how;
        self
    }

    /// Whether a node is an object, not a derivation.
    pub fn is_object(&self, id: NodeId) -> bool {
        self.nodes[id.0 as usize].object
    }

    /// Where a wanted path stands, if it is to be copied.
    pub fn object_state(&self, path: &StorePath) -> Option<&State> {
        self.objects.get(path).map(|id| self.state(*id))
    }

    /// Whether everything that is known was thought through, and nothing must be asked.
    pub fn is_settled(&self) -> bool {
        self.questions == Default::default() && self.unsure.is_empty()
    }

    /// Whether something must be asked.
    pub fn has_questions(&self) -> bool {
        self.questions != Default::default()
    }

    /// The objects to copy, with what fetching them takes.
    pub fn to_substitute(&self) -> Vec<(StorePath, Offer)> {
        let coming = self
            .nodes
            .iter()
            .filter(|node| node.object && matches!(node.state, State::Waiting | State::Ready | State::Running));
        coming.map(|node| (node.path.clone(), self.offer(&node.path).flatten().cloned().unwrap_or_default())).collect()
    }

    fn offer(&self, path: &StorePath) -> Option<Option<&Offer>> {
        self.offers.get(path).and_then(|answer| answer.as_ref().map(Option::as_ref))
    }

    fn ask_offer(&mut self, path: &StorePath, address: Option<ContentAddress>) {
        if !self.offers.contains_key(path) {
            self.offers.insert(path.clone(), None);
            self.questions.offers.push((path.clone(), address));
        }
    }

    /// The node of an object, made if it is not there.
    pub(super) fn want_object(&mut self, path: &StorePath) -> NodeId {
        if let Some(&id) = self.objects.get(path) {
            return id;
        }
        let id = self.new_node(path);
        let node = &mut self.nodes[id.0 as usize];
        node.object = true;
        node.state = State::Unsure;
        node.outputs = OutputMap::from_iter([("out".to_owned(), Some(path.clone()))]);
        self.objects.insert(path.clone(), id);
        self.unsure.push(id);
        self.ask_validity(path);
        id
    }

    /// Decides about an object; false where a fact is missing still.
    pub(super) fn consider_object(&mut self, id: NodeId) -> bool {
        let path = self.nodes[id.0 as usize].path.clone();
        match self.is_valid(&path) {
            None => return false,
            Some(true) => {
                self.finish(id, State::Present);
                return true;
            }
            Some(false) => self.ask_offer(&path, None),
        }
        let references = match self.offer(&path) {
            None => return false,
            Some(None) => {
                let why = crate::run::unobtainable(&self.store_dir.print(&path));
                self.fail(id, BuildStatus::NoSubstituters, why);
                return true;
            }
            Some(Some(offer)) => offer.references.clone(),
        };
        self.nodes[id.0 as usize].state = State::Waiting;
        for reference in references.iter().filter(|reference| **reference != path) {
            let child = self.want_object(reference);
            self.connect(id, child);
        }
        self.go_on(id);
        true
    }

    /// A user waits for an object.
    pub(super) fn connect(&mut self, user: NodeId, object: NodeId) {
        let child = &mut self.nodes[object.0 as usize];
        match child.state {
            State::Built | State::Present => {}
            State::Failed(..) => self.nodes[user.0 as usize].failed_inputs += 1,
            _ => {
                child.dependents.push(user);
                self.nodes[user.0 as usize].unfinished += 1;
            }
        }
    }

    /// Lets a node that waits go on, well or not, if nothing that it waits for is open.
    pub(super) fn go_on(&mut self, id: NodeId) {
        let node = &self.nodes[id.0 as usize];
        if node.unfinished == 0 && node.failed_inputs != 0 && !node.substituting && !node.fetching_drv {
            let (status, why) = self.inherited(id);
            self.fail(id, status, why);
        } else {
            self.release(id);
        }
    }

    /// Why a node fails whose inputs failed.
    pub(super) fn inherited(&self, id: NodeId) -> (BuildStatus, String) {
        let node = &self.nodes[id.0 as usize];
        if let Some(why) = self.inherited_elsewhere(id) {
            return why;
        }
        if !node.object {
            return (BuildStatus::DependencyFailed, self.dependency_failure(id));
        }
        let references = self.offer(&node.path).flatten().map(|offer| offer.references.as_slice()).unwrap_or_default();
        let status = match references.iter().any(|reference| self.is_broken(reference)) {
            true => BuildStatus::TransientFailure,
            false => BuildStatus::NoSubstituters,
        };
        let path = self.store_dir.print(&node.path);
        (status, format!("path '{path}' cannot be fetched: some of its references could not be realised"))
    }

    /// Whether an object was on offer and could not be transferred.
    fn is_broken(&self, path: &StorePath) -> bool {
        matches!(self.object_state(path), Some(State::Failed(BuildStatus::TransientFailure, _)))
    }

    /// Whether outputs of a derivation may be copied at all.
    pub(super) fn may_substitute(&self, id: NodeId, derivation: &Derivation) -> bool {
        let Substitution { enabled, always, .. } = self.substitution;
        enabled
            && !self.nodes[id.0 as usize].tried
            && (always
                || store_model::derivation::DerivationOptions::allows_substitutes(&self.store_dir, derivation)
                    .is_ok_and(|allowed| allowed))
    }

    /// Lets the wanted outputs that are missing be copied, if all are on offer.
    pub(super) fn substitute_outputs(&mut self, id: NodeId, derivation: &Derivation) -> Outputs {
        let node = &self.nodes[id.0 as usize];
        let wanted = |name: &String| node.all_wanted || node.wanted.contains(name);
        let outputs: Vec<_> = node.outputs.iter().filter(|(name, _)| wanted(name)).collect();
        let outputs: Vec<_> = outputs.into_iter().map(|(name, path)| (name.clone(), path.clone())).collect();
        let (mut missing, mut unknown) = (Vec::new(), false);
        for (name, path) in &outputs {
            let offered;
            let path = match path {
                Some(path) => path,
                None => match self.offered(id, name) {
                    None => {
                        unknown = true;
                        continue;
                    }
                    Some(None) => return Outputs::NotOffered,
                    Some(Some(realisation)) => {
                        offered = realisation.out_path.clone();
                        self.nodes[id.0 as usize].offered.insert(name.clone(), realisation);
                        &offered
                    }
                },
            };
            self.ask_validity(path);
            if self.is_valid(path).is_none() {
                unknown = true;
                continue;
            }
            if self.is_valid(path) == Some(false) {
                let address = match derivation.outputs.get(name) {
                    Some(DerivationOutput::CAFixed(address)) => Some(*address),
                    _ => None,
                };
                missing.push((path.clone(), address));
            }
        }
        let mut all = !unknown;
        for (path, address) in &missing {
            self.ask_offer(path, *address);
            match self.offer(path) {
                None => all = false,
                Some(None) => return Outputs::NotOffered,
                Some(Some(_)) => {}
            }
        }
        if !all {
            return Outputs::Unknown;
        }
        let node = &mut self.nodes[id.0 as usize];
        (node.substituting, node.state) = (true, State::Waiting);
        for (path, _) in missing {
            let object = self.want_object(&path);
            self.connect(id, object);
        }
        self.release(id);
        Outputs::Coming
    }

    /// What a derivation waited for came or did not: it is looked at again.
    pub(super) fn after_substitution(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0 as usize];
        let failed = std::mem::take(&mut node.failed_inputs) != 0;
        node.substituting = false;
        node.tried |= failed;
        node.state = State::Unsure;
        if !failed {
            self.take_over_offered(id);
        }
        let node = &mut self.nodes[id.0 as usize];
        let mut outputs: Vec<StorePath> = node.outputs.values().flatten().cloned().collect();
        outputs.extend(std::mem::take(&mut node.offered).into_iter().map(|(_, one)| one.out_path));
        if failed && !self.substitution.fallback && outputs.iter().any(|path| self.is_broken(path)) {
            let path = self.store_dir.print(&self.nodes[id.0 as usize].path);
            let why = format!(
                "some substitutes for the outputs of derivation '{path}' failed (usually happens due to networking \
                 issues); try '--fallback' to build derivation from source "
            );
            self.fail(id, BuildStatus::TransientFailure, why);
            return;
        }
        self.unsure.push(id);
    }

    /// A derivation cannot be read: it may be on offer. False when that was tried.
    pub(super) fn fetch_derivation(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[id.0 as usize];
        if !self.substitution.enabled || node.fetched_drv {
            return false;
        }
        let path = node.path.clone();
        let node = &mut self.nodes[id.0 as usize];
        (node.fetching_drv, node.fetched_drv) = (true, true);
        let object = self.want_object(&path);
        self.connect(id, object);
        self.release(id);
        true
    }

    /// The derivation came or did not.
    pub(super) fn after_fetching(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0 as usize];
        node.fetching_drv = false;
        let path = node.path.clone();
        if std::mem::take(&mut node.failed_inputs) == 0 {
            self.questions.derivations.push(path);
            return;
        }
        let why = match self.object_state(&path) {
            Some(State::Failed(_, why)) => why.clone(),
            _ => crate::run::unobtainable(&self.store_dir.print(&path)),
        };
        self.fail(id, BuildStatus::MiscFailure, why);
    }

    /// Sources that are missing are copied first.
    pub(super) fn want_sources(&mut self, id: NodeId, missing: &[StorePath]) {
        self.nodes[id.0 as usize].state = State::Waiting;
        for source in missing {
            let object = self.want_object(source);
            self.connect(id, object);
        }
        self.go_on(id);
    }

    /// Which sources of a derivation that fails are to be had nowhere.
    pub(super) fn tell_missing_sources(&mut self, id: NodeId) {
        let node = &self.nodes[id.0 as usize];
        let Some(derivation) = node.derivation.as_ref().filter(|_| !node.object && node.failed_inputs != 0) else {
            return;
        };
        let missing =
            |path: &&StorePath| matches!(self.object_state(path), Some(State::Failed(BuildStatus::NoSubstituters, _)));
        let user = self.store_dir.print(&node.path);
        let tell = |path: &StorePath| {
            let path = self.store_dir.print(path);
            format!("dependency '{path}' of '{user}' does not exist, and no substituter has it")
        };
        let told: Vec<_> = derivation.input_srcs.iter().filter(missing).map(tell).collect();
        self.untold.extend(told);
    }
}
