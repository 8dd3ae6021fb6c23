//! Requests that build.

use super::{BuildSettings, Connection, Version};
use crate::wire::{LONGEST_TEXT, number, string};
use crate::{Error, Result};
use store_model::derivation::DerivationParts;
use store_model::{BuildResult, DerivedPath, OutputNames, OutputsSpec, SingleDerivedPath, StoreDir};

impl Connection<'_, '_> {
    /// Makes some paths valid: outputs of derivations, or what other stores have.
    pub(super) fn build_paths(&mut self) -> Result<()> {
        let changes = self.changes("building")?;
        let dir = changes.store.store_dir();
        let wanted: Vec<DerivedPath> = self.wire.many(|wire| wanted(dir, &wire.text(LONGEST_TEXT)?))?;
        let settings = self.settings()?;
        match changes.builds.build_paths(self.activity, &wanted, &settings)? {
            Ok(()) => number(self.out, 0),
            Err(failure) => {
                number(self.out, u64::from(failure.status))?;
                string(self.out, failure.message.as_bytes())
            }
        }
    }

    /// Builds a derivation that comes along, whose inputs are here.
    pub(super) fn build_derivation(&mut self) -> Result<()> {
        let changes = self.changes("building")?;
        let dir = changes.store.store_dir();
        let path = self.wire.path(dir)?;
        let derivation = self.derivation(dir)?.into_derivation(dir, path.derivation_name()?)?;
        let settings = self.settings()?;
        let result = changes.builds.build_derivation(self.activity, &path, derivation, &settings)?;
        self.build_result(&result)
    }

    fn derivation(&mut self, dir: &StoreDir) -> Result<DerivationParts> {
        let wire = &mut self.wire;
        let text = LONGEST_TEXT;
        Ok(DerivationParts {
            outputs: wire
                .many(|wire| Ok((wire.text(text)?, [wire.text(text)?, wire.text(text)?, wire.text(text)?])))?,
            input_srcs: wire.paths(dir)?,
            platform: wire.bytes(text)?,
            builder: wire.bytes(text)?,
            args: wire.many(|wire| wire.bytes(text))?,
            env: wire.many(|wire| Ok((wire.bytes(text)?, wire.bytes(text)?)))?,
        })
    }

    fn settings(&mut self) -> Result<BuildSettings> {
        let mut settings = BuildSettings {
            max_silent_time: self.wire.small()?,
            timeout: self.wire.small()?,
            ..BuildSettings::default()
        };
        if self.version >= Version(2, 2) {
            settings.max_log_size = Some(self.wire.number()?);
        }
        if self.version >= Version(2, 3) {
            let repeats = self.wire.small()?;
            // Whether several builds must agree, of which there is one.
            self.wire.small()?;
            if repeats != 0 {
                return Err(Error::Repeats);
            }
        }
        if self.version >= Version(2, 7) {
            settings.keep_failed = Some(self.wire.flag()?);
        }
        Ok(settings)
    }

    fn build_result(&mut self, result: &BuildResult) -> Result<()> {
        number(self.out, result.status.number())?;
        string(self.out, result.error_message.as_bytes())?;
        if self.version >= Version(2, 3) {
            number(self.out, u64::from(result.times_built))?;
            number(self.out, u64::from(result.is_non_deterministic))?;
            number(self.out, result.start_time.cast_unsigned())?;
            number(self.out, result.stop_time.cast_unsigned())?;
        }
        if self.version >= Version(2, 6) {
            number(self.out, result.built_outputs.len() as u64)?;
            for realisation in result.built_outputs.values() {
                string(self.out, realisation.id.to_string().as_bytes())?;
                string(self.out, realisation.print().as_bytes())?;
            }
        }
        Ok(())
    }
}

/// `PATH` or `PATH!OUTPUT,...`; a derivation alone means all its outputs.
fn wanted(dir: &StoreDir, text: &str) -> Result<DerivedPath> {
    let (path, names) = text.split_once('!').unwrap_or((text, ""));
    let path = dir.parse(path)?;
    let names: OutputNames = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Ok(match names.is_empty() {
        true if path.is_derivation() => DerivedPath::all_outputs(path),
        true => DerivedPath::Opaque(path),
        false => DerivedPath::Built { drv: SingleDerivedPath::Opaque(path), outputs: OutputsSpec::Names(names) },
    })
}
