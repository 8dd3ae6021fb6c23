//! What outputs of derivations became, as files of a cache: `realisations/<hash>!<output>.doi`, each a JSON object.
//!
//! Who reads decides whom to believe. Absent: deleting them with the paths that they name, which a cache does not do.

use crate::cache::BinaryCache;
use activity::Activity;
use store::{Error, Realisations, Result, WriteOptions};
use store_model::{DrvOutput, Realisation};

/// The longest realisation that is read.
const MAX_REALISATION: u64 = 1 << 20;

fn name(id: &DrvOutput) -> String {
    format!("realisations/{id}.doi")
}

impl BinaryCache {
    fn read_realisation(&self, activity: &Activity, id: &DrvOutput) -> Result<Option<Realisation>> {
        // The output's name becomes part of a file's name.
        if store_model::store_path::check_name(&id.output).is_err() {
            return Ok(None);
        }
        let name = name(id);
        let Some(text) = self.text(activity, &name, MAX_REALISATION)? else { return Ok(None) };
        let wrong = |what: &dyn std::fmt::Display| {
            self.corrupt(format!(
                "while parsing file '{name}' of '{}' as a realisation for key '{id}': {what}",
                self.uri()
            ))
        };
        Realisation::parse(&text, id).map(Some).map_err(|error| wrong(&error))
    }
}

impl Realisations for BinaryCache {
    fn realisations(&self, activity: &Activity, ids: &[DrvOutput]) -> Result<Vec<Option<Realisation>>> {
        self.info(activity)?;
        ids.iter().map(|id| self.read_realisation(activity, id)).collect()
    }

    fn register_realisations(&self, activity: &Activity, all: &[Realisation], _: &WriteOptions) -> Result<()> {
        if !all.is_empty() {
            self.begin(activity)?;
        }
        for one in all {
            store_model::store_path::check_name(&one.id.output).map_err(Error::Model)?;
            let text = one.print();
            self.bucket.put(activity, &name(&one.id), "application/json", text.as_bytes())?;
        }
        Ok(())
    }
}
