//! What outputs of content-addressed derivations became, in tables beside the others.
//!
//! The tables are C++ Nix 2.34's (migration `20220326-ca-derivations`), made with the first realisation that is written, and
//! only with the experimental feature `ca-derivations`: without it nobody asks or writes anything here. A realisation
//! goes with the path that it names: the database deletes both together. Of an output there is one; another one with the
//! same path adds its signatures, with a different path it is refused.
//!
//! Absent: `RealisationsRefs`, which 2.34 makes and leaves empty.

use super::LocalStore;
use crate::api::Realisations;
use crate::{Error, Result, WriteOptions};
use activity::Activity;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeSet;
use store_model::derivation::hash_modulo::hash_modulo;
use store_model::{Derivation, DrvOutput, Hash, HashFormat, OutputMap, OutputName, Realisation, Signature, StorePath};

/// What C++ Nix notes in `SchemaMigrations`.
const MIGRATION: &str = "20220326-ca-derivations";

/// The tables, with the names of columns and indexes that C++ Nix asks for.
const TABLES: &str = "
create table if not exists Realisations (
    id integer primary key autoincrement not null,
    drvPath text not null,
    outputName text not null,
    outputPath integer not null,
    signatures text,
    foreign key (outputPath) references ValidPaths(id) on delete cascade
);
create index if not exists IndexRealisations on Realisations(drvPath, outputName);
create table if not exists RealisationsRefs (
    referrer integer not null,
    realisationReference integer,
    foreign key (referrer) references Realisations(id) on delete cascade,
    foreign key (realisationReference) references Realisations(id) on delete restrict
);
create trigger if not exists DeleteSelfRefsViaRealisations before delete on ValidPaths
  begin
    delete from RealisationsRefs where realisationReference in
      (select id from Realisations where outputPath = old.id);
  end;
create index if not exists IndexRealisationsRefsRealisationReference on RealisationsRefs(realisationReference);
create index if not exists IndexRealisationsRefs on RealisationsRefs(referrer);
create index if not exists IndexRealisationsRefsOnOutputPath on Realisations(outputPath);
";

const ONE: &str = "select v.path, r.signatures from Realisations r join ValidPaths v on v.id = r.outputPath \
     where r.drvPath = ? and r.outputName = ?";

const ALL: &str = "select r.outputName, v.path from Realisations r join ValidPaths v on v.id = r.outputPath \
     where r.drvPath = ?";

impl LocalStore {
    /// What the outputs of a derivation became, where that is not known beforehand: the hash that it goes by, and the
    /// paths of those outputs that were built or fetched. Its inputs must be in the store.
    pub fn realised_outputs(&self, activity: &Activity, drv: &Derivation) -> Result<(Hash, OutputMap<StorePath>)> {
        let hash =
            hash_modulo(&self.options.store_dir, drv, true, &mut |input| self.hash_modulo(activity, input))?.hash();
        let paths = self.database.read(activity, |connection| self.paths_of_hash(connection, &hash))?;
        Ok((hash, paths.into_iter().filter(|(name, _)| drv.outputs.contains_key(name)).collect()))
    }

    /// The key of each output of a derivation.
    pub fn output_ids(&self, activity: &Activity, drv: &Derivation) -> Result<OutputMap<DrvOutput>> {
        let store_dir = &self.options.store_dir;
        let drv_hash = hash_modulo(store_dir, drv, true, &mut |input| self.hash_modulo(activity, input))?.hash();
        let id = |output: &OutputName| (output.clone(), DrvOutput { drv_hash, output: output.clone() });
        Ok(drv.outputs.keys().map(id).collect())
    }

    /// The outputs of a derivation by what is known beforehand, and what they became where nothing is.
    pub(super) fn outputs_by_now(&self, activity: &Activity, drv: &Derivation) -> Result<OutputMap<Option<StorePath>>> {
        let mut outputs = drv.output_paths(&self.options.store_dir)?;
        if self.options.ca_derivations && outputs.values().any(Option::is_none) {
            let (_, became) = self.realised_outputs(activity, drv)?;
            outputs.extend(became.into_iter().map(|(name, path)| (name, Some(path))));
        }
        Ok(outputs)
    }

    /// By number of the derivation and of the path: what outputs became that are not known beforehand.
    pub(crate) fn realised_pairs(
        &self,
        activity: &Activity,
        connection: &Connection,
        drvs: &[(i64, StorePath)],
    ) -> Result<Vec<(i64, StorePath)>> {
        let mut pairs = Vec::new();
        if !self.options.ca_derivations || !has_tables(connection).map_err(self.database.failed())? {
            return Ok(pairs);
        }
        for (id, path) in drvs {
            // What cannot be read keeps nothing.
            let Ok(drv) = self.load_derivation(path) else { continue };
            let hash = match hash_modulo(&self.options.store_dir, &drv, true, &mut |input| {
                self.hash_modulo(activity, input)
            }) {
                Ok(modulo) => modulo.hash(),
                Err(Error::Cancelled(cancelled)) => return Err(cancelled.into()),
                Err(_) => continue,
            };
            pairs.extend(self.paths_of_hash(connection, &hash)?.into_iter().map(|(_, path)| (*id, path)));
        }
        Ok(pairs)
    }

    fn paths_of_hash(&self, connection: &Connection, hash: &Hash) -> Result<OutputMap<StorePath>> {
        let failed = self.database.failed();
        if !has_tables(connection).map_err(&failed)? {
            return Ok(OutputMap::new());
        }
        let found: Vec<(String, String)> = connection
            .prepare_cached(ALL)
            .and_then(|mut s| s.query_map([text(hash)], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .map_err(&failed)?;
        found.into_iter().map(|(name, path)| Ok((name, self.path_of_row(&path)?))).collect()
    }

    fn path_of_row(&self, path: &str) -> Result<StorePath> {
        self.options.store_dir.parse(path).map_err(|source| Error::Row { path: path.to_owned(), source })
    }

    fn realisation(&self, connection: &Connection, id: &DrvOutput) -> Result<Option<Realisation>> {
        let row: Option<(String, Option<String>)> = connection
            .prepare_cached(ONE)
            .and_then(|mut s| {
                s.query_row(params![text(&id.drv_hash), id.output], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(self.database.failed())?;
        let Some((path, signatures)) = row else { return Ok(None) };
        let signatures = signatures.unwrap_or_default();
        let signatures: Result<BTreeSet<Signature>, _> = signatures.split_whitespace().map(Signature::parse).collect();
        Ok(Some(Realisation {
            id: id.clone(),
            out_path: self.path_of_row(&path)?,
            signatures: signatures.map_err(|source| Error::Row { path, source })?,
        }))
    }

    /// Writes realisations within a transaction; the paths that they name are valid.
    pub(super) fn insert_realisations(&self, transaction: &Transaction<'_>, all: &[Realisation]) -> Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        let failed = self.database.failed();
        make_tables(transaction).map_err(&failed)?;
        for realisation in all {
            let id = &realisation.id;
            let print = |path: &StorePath| self.options.store_dir.print(path);
            let known = self.realisation(transaction, id)?;
            if let Some(known) = &known
                && known.out_path != realisation.out_path
            {
                return Err(Error::OtherRealisation {
                    id: id.to_string(),
                    local: print(&known.out_path),
                    remote: print(&realisation.out_path),
                });
            }
            let mut signatures = realisation.signatures.clone();
            let path = print(&realisation.out_path);
            match known {
                Some(known) if known.signatures.is_superset(&signatures) => {}
                Some(known) => {
                    signatures.extend(known.signatures);
                    transaction
                        .prepare_cached("update Realisations set signatures = ? where drvPath = ? and outputName = ?")
                        .and_then(|mut s| s.execute(params![joined(&signatures), text(&id.drv_hash), id.output]))
                        .map_err(&failed)?;
                }
                None => {
                    let number = super::database::path_id(transaction, &path).map_err(&failed)?;
                    let number = number.ok_or(Error::InvalidPath(path))?;
                    transaction
                        .prepare_cached(
                            "insert into Realisations (drvPath, outputName, outputPath, signatures) values (?, ?, ?, ?)",
                        )
                        .and_then(|mut s| {
                            s.execute(params![text(&id.drv_hash), id.output, number, joined(&signatures)])
                        })
                        .map_err(&failed)?;
                }
            }
        }
        Ok(())
    }
}

impl Realisations for LocalStore {
    fn realisations(&self, activity: &Activity, ids: &[DrvOutput]) -> Result<Vec<Option<Realisation>>> {
        self.database.read(activity, |connection| {
            if !has_tables(connection).map_err(self.database.failed())? {
                return Ok(vec![None; ids.len()]);
            }
            ids.iter().map(|id| self.realisation(connection, id)).collect()
        })
    }

    fn register_realisations(&self, activity: &Activity, all: &[Realisation], options: &WriteOptions) -> Result<()> {
        let trusted = |realisation: &&Realisation| {
            options.trusted_keys.as_ref().is_none_or(|keys| realisation.good_signatures(keys) > 0)
        };
        if let Some(bad) = all.iter().find(|one| !trusted(one)) {
            return Err(Error::UntrustedRealisation(bad.out_path.to_string()));
        }
        if all.is_empty() {
            return Ok(());
        }
        self.refuse_if_read_only()?;
        self.database.write(activity, |transaction| self.insert_realisations(transaction, all))
    }
}

/// How the key is written: `sha256:` and base 16.
fn text(hash: &Hash) -> String {
    hash.format(HashFormat::Base16, true)
}

fn joined(signatures: &BTreeSet<Signature>) -> String {
    signatures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("select count(*) from sqlite_master where type = 'table' and name = 'Realisations'")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(|count| count != 0)
}

fn make_tables(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let done: i64 = transaction
        .prepare_cached("select count(*) from SchemaMigrations where migration = ?")?
        .query_row([MIGRATION], |row| row.get(0))?;
    if done == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute("insert into SchemaMigrations values (?)", [MIGRATION])?;
    }
    Ok(())
}
