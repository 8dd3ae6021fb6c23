//! The builder of a local store, as everyone else sees it: wanted paths in, results out.

use std::collections::HashMap;
use std::sync::Arc;

use activity::{Activity, Silent};
use store::{BuildMode, Builder, ErrorClass, LocalStore, MissingPaths, Realisations, Store, WriteOptions};
use store_model::{
    BuildResult, BuildStatus, Derivation, DerivedPath, DrvOutput, Hash, HashAlgorithm, OutputMap, OutputName,
    OutputsSpec, Realisation, SingleDerivedPath, StorePath,
};
use transfer::Transfer;

use crate::error::{Error, Result, WrongHash};
use crate::known::Known;
use crate::options::BuilderOptions;
use crate::plan::{NodeId, Plan, State};
use crate::run::{Run, Shared, Times, Trouble, unobtainable};
use crate::substitute::Substituters;

/// Builds in a local store. Cheap to make; requests may come from several threads at once.
pub struct LocalBuilder {
    shared: Shared,
}

/// Something wanted, and what the plan made of it.
enum Wanted<'a> {
    Path(&'a DerivedPath),
    Node(NodeId, &'a OutputsSpec),
    Refused(String),
}

impl LocalBuilder {
    /// A builder for a store that copies nothing from elsewhere. Nothing is started or looked at yet.
    pub fn new(store: Arc<LocalStore>, options: BuilderOptions, transfer: Arc<Transfer>) -> Self {
        Self { shared: Shared::new(store, options, transfer, Substituters::none()) }
    }

    /// The same with substituters, which `options.substitution` says how to use.
    pub fn with_substituters(
        store: Arc<LocalStore>,
        options: BuilderOptions,
        transfer: Arc<Transfer>,
        substituters: Substituters,
    ) -> Self {
        Self { shared: Shared::new(store, options, transfer, substituters) }
    }

    /// The knobs it was made with.
    pub fn options(&self) -> &BuilderOptions {
        &self.shared.options
    }

    /// The exit status of a program whose last request to build failed: 100 and its relatives where the kind of failure
    /// has one (101 timed out, 102 wrong hash, 104 not deterministic; several add up, those of dependencies too), else 1.
    pub fn exit_status(&self) -> i32 {
        match self.shared.trouble().bits {
            0 => 1,
            bits => i32::from(0b110_0000 | bits),
        }
    }

    /// The derivations that failed in the last request by themselves, not because of what they depend on.
    pub fn failed(&self) -> Vec<StorePath> {
        self.shared.trouble().failed.clone()
    }

    /// The sources that came out with other hashes in the last request, in the order of their derivations.
    pub fn wrong_hashes(&self) -> Vec<WrongHash> {
        let mut all = self.shared.trouble().wrong_hashes.clone();
        all.sort_by(|a, b| a.derivation.cmp(&b.derivation));
        all
    }

    /// What outputs became in the last request, where their paths were not known beforehand.
    pub fn built(&self, wanted: &DerivedPath) -> Option<OutputMap<StorePath>> {
        self.shared.trouble().built.get(wanted).cloned()
    }

    /// Builds a derivation that is given with its path; no file of it need be there. The outputs are told by the keys that
    /// follow from it.
    ///
    /// # Errors
    /// Faults of ours and of the machine; a build that fails is a result.
    pub fn build_derivation(
        &self,
        activity: &Activity,
        path: &StorePath,
        derivation: Derivation,
        mode: BuildMode,
    ) -> store::Result<BuildResult> {
        *self.shared.trouble() = Trouble::default();
        self.build_given(activity, path, Arc::new(derivation), mode).map_err(Into::into)
    }

    fn build_given(
        &self,
        activity: &Activity,
        path: &StorePath,
        derivation: Arc<Derivation>,
        mode: BuildMode,
    ) -> Result<BuildResult> {
        let mut plan = self.empty_plan();
        let id = plan.want_given(path, Arc::clone(&derivation), mode);
        let times = self.carry_out(activity, &mut plan)?;
        let mut result = told(&plan, &times, (id, &OutputsSpec::All));
        if !result.built_outputs.is_empty() {
            let mut ids = self.shared.store.output_ids(activity, &derivation)?;
            for (name, made) in &mut result.built_outputs {
                made.id = ids.remove(name).unwrap_or_else(|| made.id.clone());
            }
        }
        Ok(result)
    }

    fn empty_plan(&self) -> Plan {
        Plan::new(self.shared.store.store_dir().clone())
            .substituting(self.shared.options.substitution)
            .with_features(self.shared.options.features)
    }

    fn planned<'a>(&self, wanted: &'a [DerivedPath], mode: BuildMode) -> (Plan, Vec<Wanted<'a>>) {
        let mut plan = self.empty_plan();
        // What is wanted first begins first: C++ Nix's order, by names.
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|at| wanted[*at].base().name());
        let mut nodes: Vec<Option<Wanted<'a>>> = wanted.iter().map(|_| None).collect();
        for at in order {
            let path = &wanted[at];
            nodes[at] = Some(match (plan.want(path, mode), path) {
                (Err(why), _) => Wanted::Refused(why),
                (Ok(Some(id)), DerivedPath::Built { outputs, .. }) => Wanted::Node(id, outputs),
                (Ok(_), path) => Wanted::Path(path),
            });
        }
        (plan, nodes.into_iter().flatten().collect())
    }

    /// Does what a plan needs, and notes what became known of outputs.
    fn carry_out(&self, activity: &Activity, plan: &mut Plan) -> Result<HashMap<NodeId, Times>> {
        self.shared.settle_or_refuse(activity, plan)?;
        self.refuse_without_room(plan)?;
        let mut times = Default::default();
        if !plan.to_build().is_empty() || !plan.to_substitute().is_empty() {
            let known = Known::new(&self.shared.store);
            times = Run::new(&self.shared, &known, plan, activity).drive()?;
        }
        // Nothing had to be built, or to be built last, for it.
        self.shared.tell_found(activity, plan);
        let learned = self.shared.signed(plan.take_learned());
        self.shared.store.register_realisations(activity, &learned, &WriteOptions::default())?;
        Ok(times)
    }

    fn build_all(&self, activity: &Activity, asked: &[DerivedPath], mode: BuildMode) -> Result<Vec<BuildResult>> {
        if mode == BuildMode::Repair {
            self.fetch_anew(activity, asked)?;
            self.repair_inputs(activity, asked)?;
        }
        let (mut plan, wanted) = self.planned(asked, mode);
        let times = self.carry_out(activity, &mut plan)?;
        let mut results: Vec<BuildResult> = wanted
            .iter()
            .map(|one| match one {
                Wanted::Refused(why) => BuildResult::new(BuildStatus::MiscFailure, why.clone()),
                Wanted::Path(path) => self.path_result(&plan, path),
                Wanted::Node(id, outputs) => told(&plan, &times, (*id, outputs)),
            })
            .collect();
        for ((path, one), result) in asked.iter().zip(&wanted).zip(&results) {
            if let Wanted::Node(id, _) = one
                && result.status.is_success()
                && !plan.is_known_beforehand(*id)
            {
                let outputs = result.built_outputs.iter().map(|(name, one)| (name.clone(), one.out_path.clone()));
                self.shared.trouble().built.insert(path.clone(), outputs.collect());
            }
        }
        if mode == BuildMode::Repair {
            self.repair_closures(activity, &mut results)?;
        }
        Ok(results)
    }

    /// Refuses before the first byte what is to be fetched and cannot fit. Where garbage is collected on the way, room may
    /// come of that.
    fn refuse_without_room(&self, plan: &Plan) -> Result<()> {
        let store = &self.shared.store;
        if store.options().auto.min_free > 0 {
            return Ok(());
        }
        let coming = plan.to_substitute();
        let size = coming.iter().map(|(_, offer)| offer.nar_size).fold(0, u64::saturating_add);
        Ok(store.refuse_without_room(size, || format!("{} paths to be fetched", coming.len()))?)
    }

    /// Makes anew what the results refer to and what has other contents than it should. A result whose closure cannot be
    /// mended becomes a failure.
    fn repair_closures(&self, activity: &Activity, results: &mut [BuildResult]) -> Result<()> {
        let store = &self.shared.store;
        for result in results.iter_mut().filter(|result| result.status.is_success()) {
            let outputs: Vec<StorePath> = result.built_outputs.values().map(|made| made.out_path.clone()).collect();
            let below: Vec<StorePath> =
                store.closure(activity, &outputs)?.into_iter().filter(|path| !outputs.contains(path)).collect();
            let broken: Vec<StorePath> = store.check_contents(activity, &below)?.into_iter().collect();
            if let Some(lost) = self.make_anew(activity, &broken)? {
                let why = format!("path '{lost}' is corrupted and cannot be repaired");
                *result = BuildResult::new(BuildStatus::MiscFailure, why);
            }
        }
        Ok(())
    }

    /// Fetches wanted paths again that are valid and broken, where somebody has them. Those that nobody has stay as they are.
    fn fetch_anew(&self, activity: &Activity, wanted: &[DerivedPath]) -> Result<()> {
        let shared = &self.shared;
        if !shared.options.substitution.enabled {
            return Ok(());
        }
        let paths: Vec<StorePath> = wanted
            .iter()
            .filter_map(|path| match path {
                DerivedPath::Opaque(path) => Some(path.clone()),
                DerivedPath::Built { .. } => None,
            })
            .collect();
        let quiet = activity.redirected(Arc::new(Silent));
        for path in shared.store.check_contents(&quiet, &paths)? {
            match shared.substituters.substitute(activity, &shared.store, &path, true) {
                Err(Error::Store(error)) if error.class() != ErrorClass::Cancelled => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Builds broken paths again by their derivers; answers the first one where that fails.
    fn make_anew(&self, activity: &Activity, broken: &[StorePath]) -> Result<Option<String>> {
        let store = &self.shared.store;
        for info in store.path_infos(activity, broken)?.into_iter().flatten() {
            let drvs: Vec<StorePath> = info.deriver.into_iter().collect();
            let wanted: Vec<DerivedPath> = store.valid_paths(activity, &drvs)?.into_iter().map(whole).collect();
            let mended = self.build_all(activity, &wanted, BuildMode::Repair)?;
            if mended.is_empty() || mended.iter().any(|result| !result.status.is_success()) {
                return Ok(Some(store.store_dir().print(&info.path)));
            }
        }
        Ok(None)
    }

    /// Mends what broken outputs are made from, before they are made again: a build from broken inputs would be registered
    /// as whole.
    fn repair_inputs(&self, activity: &Activity, wanted: &[DerivedPath]) -> Result<()> {
        let store = &self.shared.store;
        let quiet = activity.redirected(Arc::new(Silent));
        let known = |drv: &StorePath| -> Result<Vec<StorePath>> {
            let paths: Vec<StorePath> =
                store.derivation_outputs(activity, drv)?.into_iter().filter_map(|(_, path)| path).collect();
            Ok(store.valid_paths(activity, &paths)?.into_iter().collect())
        };
        for path in wanted {
            let DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. } = path else { continue };
            if store.valid_paths(activity, std::slice::from_ref(drv))?.is_empty()
                || store.check_contents(&quiet, &known(drv)?)?.is_empty()
            {
                continue;
            }
            let derivation = store.read_derivation(activity, drv)?;
            let mut inputs: Vec<StorePath> = derivation.input_srcs.iter().cloned().collect();
            for input in derivation.input_drvs.keys() {
                inputs.extend(known(input)?);
            }
            let closure: Vec<StorePath> = store.closure(activity, &inputs)?.into_iter().collect();
            let broken: Vec<StorePath> = store.check_contents(&quiet, &closure)?.into_iter().collect();
            if let Some(lost) = self.make_anew(activity, &broken)? {
                let user = store.store_dir().print(drv);
                return Err(Error::Refused(format!(
                    "path '{lost}', which '{user}' is built from, is corrupted and cannot be repaired"
                )));
            }
        }
        Ok(())
    }

    fn path_result(&self, plan: &Plan, path: &DerivedPath) -> BuildResult {
        let base = path.base();
        match plan.is_valid(base) {
            Some(true) => {
                let copied = plan.object_state(base) == Some(&State::Built);
                BuildResult::new(if copied { BuildStatus::Substituted } else { BuildStatus::AlreadyValid }, "")
            }
            _ if let Some(State::Failed(status, why)) = plan.object_state(base) => {
                BuildResult::new(*status, why.clone())
            }
            _ => {
                BuildResult::new(BuildStatus::NoSubstituters, unobtainable(&self.shared.store.store_dir().print(base)))
            }
        }
    }
}

/// All outputs of a derivation.
fn whole(drv: StorePath) -> DerivedPath {
    DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), outputs: OutputsSpec::All }
}

/// The result for some outputs of a derivation, with the times of its build.
fn told(plan: &Plan, times: &HashMap<NodeId, Times>, (id, outputs): (NodeId, &OutputsSpec)) -> BuildResult {
    let mut result = node_result(plan, id, outputs);
    if let Some(times) = times.get(&plan.end_of(id)) {
        (result.start_time, result.stop_time, result.times_built) = (times.start, times.stop, 1);
        (result.cpu_user, result.cpu_system) = (times.cpu.user, times.cpu.system);
    }
    result
}

/// The result for some outputs of a derivation.
///
/// A node that was neither finished nor failed was given up because another one failed; it has no message of its own, like
/// in C++ Nix. Realisations of outputs whose paths were known beforehand are keyed by zeros: the true key costs a walk over
/// all inputs, and nobody looks for such an output by it.
fn node_result(plan: &Plan, id: NodeId, outputs: &OutputsSpec) -> BuildResult {
    let mut result = match plan.state(id) {
        State::Present if plan.end_of(id) != id => BuildResult::new(BuildStatus::ResolvesToAlreadyValid, ""),
        State::Present => BuildResult::new(BuildStatus::AlreadyValid, ""),
        State::Built => BuildResult::new(BuildStatus::Built, ""),
        State::Failed(status, why) => BuildResult::new(*status, why.clone()),
        State::Unread | State::Unsure | State::Waiting | State::Ready | State::Running => {
            BuildResult::new(BuildStatus::MiscFailure, "")
        }
    };
    result.is_non_deterministic = result.status == BuildStatus::NotDeterministic;
    if result.status.is_success() {
        let realisation = |name: &OutputName, path: &store_model::StorePath| Realisation {
            id: plan
                .key_of(id, name)
                .unwrap_or_else(|| DrvOutput { drv_hash: Hash::zero(HashAlgorithm::Sha256), output: name.clone() }),
            out_path: path.clone(),
            signatures: Default::default(),
        };
        let wanted = plan.outputs(id).iter().filter(|(name, _)| outputs.contains(name));
        let known: Vec<_> = wanted.filter_map(|(name, path)| Some((name, path.as_ref()?))).collect();
        // In just the room that it needs: there may be thousands of results.
        result.built_outputs = OutputMap::with_capacity(known.len());
        result.built_outputs.extend(known.into_iter().map(|(name, path)| (name.clone(), realisation(name, path))));
    }
    result
}

impl Builder for LocalBuilder {
    fn build(&self, activity: &Activity, wanted: &[DerivedPath], mode: BuildMode) -> store::Result<Vec<BuildResult>> {
        // Here and not below: what is mended on the way belongs to the same request.
        *self.shared.trouble() = Trouble::default();
        self.build_all(activity, wanted, mode).map_err(Into::into)
    }

    fn plan(&self, activity: &Activity, wanted: &[DerivedPath]) -> store::Result<MissingPaths> {
        let (mut plan, _) = self.planned(wanted, BuildMode::Normal);
        self.shared.settle(activity, &mut plan).map_err(store::Error::from)?;
        let coming = plan.to_substitute();
        Ok(MissingPaths {
            download_size: coming.iter().map(|(_, offer)| offer.download_size).sum(),
            nar_size: coming.iter().map(|(_, offer)| offer.nar_size).sum(),
            will_substitute: coming.into_iter().map(|(path, _)| path).collect(),
            will_build: plan.to_build().into_iter().collect(),
            unknown: plan.unknown().into_iter().collect(),
        })
    }
}

impl From<Error> for store::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled(cancelled) => Self::Cancelled(cancelled),
            Error::Store(error) => error,
            other => Self::Builder { message: other.to_string(), class: other.class(), source: Some(Box::new(other)) },
        }
    }
}

/// The bits of C++ Nix's exit status that one failure adds: see [`LocalBuilder::exit_status`].
pub(crate) fn exit_bits(status: BuildStatus) -> u8 {
    match status {
        BuildStatus::TimedOut => 0b0101,
        BuildStatus::HashMismatch => 0b0110,
        BuildStatus::NotDeterministic => 0b1000,
        BuildStatus::PermanentFailure | BuildStatus::InputRejected => 0b0100,
        _ => 0,
    }
}

/// What a caller of this crate decides by.
impl Error {
    /// See [`ErrorClass`].
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Cancelled(_) => ErrorClass::Cancelled,
            Self::Store(error) => error.class(),
            Self::Build { .. } => ErrorClass::BuildFailure,
            Self::Io { source, .. } | Self::Setup { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorClass::Transient,
                std::io::ErrorKind::PermissionDenied => ErrorClass::Denied,
                _ => ErrorClass::Permanent,
            },
            _ => ErrorClass::Permanent,
        }
    }
}
