//! Path information to rows of the database and back, and registration.
//!
//! One transaction registers any number of paths: rows first, then references by number, then the outputs of derivations.
//! What fails leaves nothing. Absent: the objects themselves, which are in place and durable by then.

use super::LocalStore;
use super::database::{PathRow, REFERENCES_OF, path_id, path_row, texts};
use crate::closure::topological_order;
use crate::{Error, Result};
use activity::Activity;
use rusqlite::{Connection, Transaction, params};
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};
use store_model::{ContentAddress, Hash, HashFormat, OutputMap, PathInfo, Realisation, Signature, StoreDir, StorePath};

/// A path to register, and the outputs if it is a derivation.
pub(super) struct Registration<'a> {
    pub(super) info: Cow<'a, PathInfo>,
    pub(super) outputs: OutputMap<StorePath>,
}

impl LocalStore {
    /// What the database knows about a path.
    pub(super) fn read_info(&self, connection: &Connection, path: &StorePath) -> Result<Option<PathInfo>> {
        let failed = self.database.failed();
        let store_dir = &self.options.store_dir;
        let printed = store_dir.print(path);
        let Some(row) = path_row(connection, &printed).map_err(&failed)? else { return Ok(None) };
        let references = texts(connection, REFERENCES_OF, row.id).map_err(&failed)?;
        info_of(store_dir, path, row, &references).map(Some).map_err(|source| Error::Row { path: printed, source })
    }

    /// Registers within one transaction, realisations after the paths.
    pub(super) fn register_rows(
        &self,
        activity: &Activity,
        registrations: &[Registration<'_>],
        realisations: &[Realisation],
    ) -> Result<()> {
        if registrations.is_empty() && realisations.is_empty() {
            return Ok(());
        }
        let by_path: FxHashMap<&StorePath, &PathInfo> =
            registrations.iter().map(|r| (&r.info.path, &*r.info)).collect();
        for registration in registrations {
            let info = &registration.info;
            if info.content_address.is_some() && !info.is_content_addressed(&self.options.store_dir) {
                return Err(Error::NotContentAddressed(self.options.store_dir.print(&info.path)));
            }
        }
        topological_order(&self.options.store_dir, by_path.keys().map(|path| (*path).clone()), |path| {
            by_path.get(path).map(|info| info.references.iter().cloned().collect()).unwrap_or_default()
        })?;
        let faults = &self.files.faults;
        faults.pass("transaction-begin")?;
        self.database.write(activity, |transaction| {
            self.insert(activity, transaction, registrations)?;
            self.insert_realisations(transaction, realisations)?;
            faults.pass("transaction-filled")
        })?;
        faults.pass("transaction-committed")
    }

    /// Adds signatures within one transaction; tells how many were new.
    pub(super) fn add_signature_rows(
        &self,
        activity: &Activity,
        more: &[(StorePath, BTreeSet<Signature>)],
    ) -> Result<usize> {
        self.database.write(activity, |transaction| {
            let mut added = 0;
            for (path, signatures) in more {
                let printed = self.options.store_dir.print(path);
                let info = self.read_info(transaction, path)?.ok_or_else(|| Error::InvalidPath(printed.clone()))?;
                let before = info.signatures.len();
                let all: BTreeSet<&Signature> = info.signatures.iter().chain(signatures).collect();
                if all.len() == before {
                    continue;
                }
                added += all.len() - before;
                transaction
                    .prepare_cached("update ValidPaths set sigs = ? where path = ?")
                    .and_then(|mut statement| statement.execute([joined(all), printed]))
                    .map_err(self.database.failed())?;
            }
            Ok(added)
        })
    }

    fn insert(
        &self,
        activity: &Activity,
        transaction: &Transaction<'_>,
        registrations: &[Registration<'_>],
    ) -> Result<()> {
        let failed = self.database.failed();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() as i64);
        let mut ids: FxHashMap<&StorePath, i64> = FxHashMap::default();
        for registration in registrations {
            activity.check()?;
            let id = self.insert_path(transaction, &registration.info, now).map_err(&failed)?;
            ids.insert(&registration.info.path, id);
            for (output, path) in &registration.outputs {
                transaction
                    .prepare_cached("insert or replace into DerivationOutputs (drv, id, path) values (?, ?, ?)")
                    .and_then(|mut s| s.execute(params![id, output, self.options.store_dir.print(path)]))
                    .map_err(&failed)?;
            }
        }
        for registration in registrations {
            let referrer = ids[&registration.info.path];
            for reference in &registration.info.references {
                let id = match ids.get(reference) {
                    Some(id) => *id,
                    None => {
                        let printed = self.options.store_dir.print(reference);
                        let id = path_id(transaction, &printed).map_err(&failed)?;
                        let id = id.ok_or(Error::InvalidPath(printed))?;
                        ids.insert(reference, id);
                        id
                    }
                };
                // A row that is there already says the same, and need not be replaced, which would cost every row.
                transaction
                    .prepare_cached("insert or ignore into Refs (referrer, reference) values (?, ?)")
                    .and_then(|mut s| s.execute([referrer, id]))
                    .map_err(&failed)?;
            }
        }
        Ok(())
    }

    fn insert_path(&self, transaction: &Transaction<'_>, info: &PathInfo, now: i64) -> rusqlite::Result<i64> {
        let path = self.options.store_dir.print(&info.path);
        let hash = info.nar_hash.format(HashFormat::Base16, true);
        let size = (info.nar_size != 0).then_some(info.nar_size as i64);
        let ultimate = info.ultimate.then_some(1);
        let signatures = (!info.signatures.is_empty()).then(|| joined(&info.signatures));
        let address = info.content_address.map(|address| address.to_string());
        if let Some(id) = path_id(transaction, &path)? {
            transaction
                .prepare_cached(
                    "update ValidPaths set narSize = ?, hash = ?, ultimate = ?, sigs = ?, ca = ? where path = ?",
                )?
                .execute(params![size, hash, ultimate, signatures, address, path])?;
            return Ok(id);
        }
        let time = if info.registration_time == 0 { now } else { info.registration_time };
        let deriver = info.deriver.as_ref().map(|path| self.options.store_dir.print(path));
        transaction
            .prepare_cached(
                "insert into ValidPaths (path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca) \
                 values (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .insert(params![path, hash, time, deriver, size, ultimate, signatures, address])
    }
}

/// Signatures as the database holds them.
fn joined<'s>(signatures: impl IntoIterator<Item = &'s Signature>) -> String {
    signatures.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn info_of(
    store_dir: &StoreDir,
    path: &StorePath,
    row: PathRow,
    references: &[String],
) -> Result<PathInfo, store_model::Error> {
    let signatures = row.signatures.unwrap_or_default();
    Ok(PathInfo {
        path: path.clone(),
        nar_hash: Hash::parse_prefixed(&row.hash)?,
        nar_size: row.nar_size.map_or(0, |size| size.try_into().unwrap_or(0)),
        references: references.iter().map(|path| store_dir.parse(path)).collect::<Result<BTreeSet<_>, _>>()?,
        deriver: row.deriver.filter(|text| !text.is_empty()).map(|path| store_dir.parse(&path)).transpose()?,
        registration_time: row.registration_time,
        ultimate: row.ultimate == Some(1),
        signatures: signatures.split_whitespace().map(Signature::parse).collect::<Result<BTreeSet<_>, _>>()?,
        content_address: row
            .content_address
            .filter(|text| !text.is_empty())
            .map(|text| ContentAddress::parse(&text))
            .transpose()?,
    })
}
