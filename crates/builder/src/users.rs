//! Host users that builders run as when we are root, so that no builder is ever the host's root.
//!
//! With a `build-users-group` its members are taken one per build, under the lock files that C++ Nix uses
//! (`<state>/userpool/<uid>`); without one ids come from `start-id` in slots, under `<state>/userpool2/slot-<n>`. A lock
//! is held by an open file and ends with it. Accounts are read from `/etc/group` and `/etc/passwd`: other account
//! services are not asked.
//!
//! In a container our ids may be only those that it was given: slots are then counted down from the last of them, and
//! where there is none but root's own, which is not the host's root, the builder has that.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::{Error, IoContext, Result};

/// Ids of one slot, as many as a container takes.
const IDS_PER_SLOT: u32 = 1 << 16;

/// A user that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct BuildUser {
    pub uid: u32,
    pub gid: u32,
    /// How many users, and groups, from these on are its own.
    pub count: u32,
    /// Supplementary groups of the account.
    pub groups: Vec<u32>,
    _lock: File,
}

impl BuildUser {
    /// The first and the last of its user ids.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.uid, self.uid + (self.count - 1))
    }
}

/// The answer to who may run a build.
#[derive(Debug)]
pub(crate) enum Grant {
    /// This user, for as long as it is kept.
    User(BuildUser),
    /// All are taken now.
    Busy,
    /// Nobody but ourselves: we have no other ids.
    Ourselves,
}

/// Where users come from.
#[derive(Clone, Debug)]
pub struct UserPool {
    /// Name of the group whose members run builds (`build-users-group`); empty for none.
    pub group: String,
    /// First id of the slots (`start-id`).
    pub start_id: u32,
    /// How many ids the slots have together (`id-count`).
    pub id_count: u32,
    /// Slots serve also where there is such a group (`auto-allocate-uids`).
    pub auto: bool,
}

impl Default for UserPool {
    fn default() -> Self {
        Self { group: String::new(), start_id: 872_415_232, id_count: 8_388_608, auto: false }
    }
}

impl UserPool {
    /// Whether there is any user but ourselves.
    pub(crate) fn has_users(&self) -> bool {
        let named = || fs::read_to_string("/etc/group").is_ok_and(|groups| find_group(&groups, &self.group).is_some());
        (!self.group.is_empty() && named()) || self.slot_id(0, &Ids::ours()).is_some()
    }

    /// A free user.
    ///
    /// Without a group of that name the slots serve instead, for isolated builds only: outside a user namespace nobody
    /// gives those ids the right to write into the store, so `isolated == false` is [`Error::NoBuildUsersGroup`]. A build
    /// that wants a `range` gets all the ids of a slot.
    pub(crate) fn acquire(&self, state_dir: &Path, isolated: bool, range: bool) -> Result<Grant> {
        let slots = self.group.is_empty() || (self.auto && isolated);
        if !slots {
            let groups = fs::read_to_string("/etc/group").io("reading", Path::new("/etc/group"))?;
            match find_group(&groups, &self.group) {
                Some(_) if range => return Err(no_range("the setting 'auto-allocate-uids' to be enabled")),
                Some((gid, members)) => return self.member(&state_dir.join("userpool"), gid, &members, &groups),
                None if !isolated => return Err(Error::NoBuildUsersGroup { group: self.group.clone() }),
                None => {}
            }
        }
        match self.slot(&state_dir.join("userpool2"), range)? {
            Grant::Ourselves if range => Err(no_range(&format!("{IDS_PER_SLOT} user ids from 'start-id' on"))),
            grant => Ok(grant),
        }
    }

    fn member(&self, pool: &Path, gid: u32, members: &[String], groups: &str) -> Result<Grant> {
        if members.is_empty() {
            return Err(Error::EmptyBuildUsersGroup { group: self.group.clone() });
        }
        if gid == 0 {
            return Err(Error::RootBuildUsersGroup { group: self.group.clone() });
        }
        fs::create_dir_all(pool).io("creating", pool)?;
        let accounts = fs::read_to_string("/etc/passwd").io("reading", Path::new("/etc/passwd"))?;
        for name in members {
            let Some(uid) = find_user(&accounts, name) else {
                return Err(Error::NoBuildUser { group: self.group.clone(), user: name.clone() });
            };
            if uid == 0 {
                return Err(Error::PrivilegedBuildUser { group: self.group.clone() });
            }
            if let Some(lock) = try_lock(&pool.join(uid.to_string()))? {
                let groups = groups_of(groups, name).filter(|&other| other != gid && other != 0).collect();
                return Ok(Grant::User(BuildUser { uid, gid, count: 1, groups, _lock: lock }));
            }
        }
        Ok(Grant::Busy)
    }

    fn slot(&self, pool: &Path, range: bool) -> Result<Grant> {
        let ids = Ids::ours();
        let count = if range { IDS_PER_SLOT } else { 1 };
        let id_of =
            |slot| self.slot_id(slot, &ids).filter(|id| !range || ids.have(id.saturating_add(IDS_PER_SLOT - 1)));
        if id_of(0).is_none() {
            return Ok(Grant::Ourselves);
        }
        fs::create_dir_all(pool).io("creating", pool)?;
        for slot in 0..self.id_count / IDS_PER_SLOT {
            let Some(id) = id_of(slot) else { break };
            if let Some(lock) = try_lock(&pool.join(format!("slot-{slot}")))? {
                return Ok(Grant::User(BuildUser { uid: id, gid: id, count, groups: Vec::new(), _lock: lock }));
            }
        }
        Ok(Grant::Busy)
    }

    /// The id of a slot: the one that C++ Nix gives it, or one from the end of what we have.
    fn slot_id(&self, slot: u32, ids: &Ids) -> Option<u32> {
        let usual = self.start_id.checked_add(slot.checked_mul(IDS_PER_SLOT)?)?;
        if ids.have(usual) {
            return Some(usual);
        }
        let last = ids.last()?.checked_sub(slot)?;
        // Low numbers are accounts of the container.
        (last >= LOWEST_SPARE_ID && ids.have(last)).then_some(last)
    }
}

/// Why a build gets no range of ids.
pub(crate) fn no_range(wanted: &str) -> Error {
    Error::Refused(format!("feature 'uid-range' requires {wanted}"))
}

/// Ids below are given to accounts by hand or by installers.
const LOWEST_SPARE_ID: u32 = 2000;

/// Which ids exist in our user namespace: first and count of each range, of users and of groups.
struct Ids {
    users: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
}

impl Ids {
    fn ours() -> Self {
        let read = |name: &str| {
            // Without the file there are no user namespaces, and all ids exist.
            fs::read_to_string(format!("/proc/self/{name}")).map_or(vec![(0, u32::MAX)], |text| id_ranges(&text))
        };
        Self { users: read("uid_map"), groups: read("gid_map") }
    }

    fn have(&self, id: u32) -> bool {
        let within = |ranges: &[(u32, u32)]| ranges.iter().any(|(first, count)| id >= *first && id - first < *count);
        within(&self.users) && within(&self.groups)
    }

    fn last(&self) -> Option<u32> {
        self.users.iter().map(|(first, count)| first.saturating_add(count.saturating_sub(1))).max()
    }
}

/// Reads `uid_map`: lines of first id inside, first id outside, count.
fn id_ranges(text: &str) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(str::parse);
            Some((words.next()?.ok()?, words.nth(1)?.ok()?))
        })
        .collect()
}

fn try_lock(path: &Path) -> Result<Option<File>> {
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.read(true).write(true).create(true).truncate(false).open(path).io("opening", path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(io::Error::from(error)).io("locking", path),
    }
}

/// Id and members of a group in the text of `/etc/group`.
fn find_group(text: &str, name: &str) -> Option<(u32, Vec<String>)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let gid = fields.nth(1)?.parse().ok()?;
        let members = fields.next().unwrap_or_default();
        Some((gid, members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect()))
    })
}

/// Ids of the groups that name a user as member.
fn groups_of<'a>(text: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member == user).then_some(gid)
    })
}

/// Id of a user in the text of `/etc/passwd`.
fn find_user(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nnixbld:x:30000:nixbld1,nixbld2\nkvm:x:104:nixbld2,me\nempty:x:7:\n";

    #[test]
    fn accounts_are_found_in_the_files_text() {
        assert_eq!(find_group(GROUPS, "nixbld"), Some((30000, vec!["nixbld1".into(), "nixbld2".into()])));
        assert_eq!(find_group(GROUPS, "empty"), Some((7, vec![])));
        assert_eq!(find_group(GROUPS, "nix"), None);
        assert_eq!(groups_of(GROUPS, "nixbld2").collect::<Vec<_>>(), [30000, 104]);
        let accounts = "root:x:0:0::/root:/bin/sh\nnixbld1:x:30001:30000:::/\nbroken\n";
        assert_eq!(find_user(accounts, "nixbld1"), Some(30001));
        assert_eq!(find_user(accounts, "broken"), None);
    }

    fn uid(grant: Grant) -> Option<(u32, BuildUser)> {
        match grant {
            Grant::User(user) => Some((user.uid, user)),
            Grant::Busy | Grant::Ourselves => None,
        }
    }

    #[test]
    fn slots_are_taken_one_after_another_and_given_back() {
        let state = tempfile::tempdir().unwrap();
        let pool = UserPool { start_id: 1_000_000, id_count: 2 * IDS_PER_SLOT, ..UserPool::default() };
        let ids = Ids::ours();
        let (Some(one), Some(two)) = (pool.slot_id(0, &ids), pool.slot_id(1, &ids)) else { return };
        let acquire = || pool.acquire(state.path(), true, false).unwrap();
        let (first, second) = (uid(acquire()).unwrap(), uid(acquire()).unwrap());
        assert_eq!((first.0, second.0), (one, two));
        assert!(matches!(acquire(), Grant::Busy));
        drop(first);
        assert_eq!(uid(acquire()).unwrap().0, one);
    }

    #[test]
    fn slots_fit_into_the_ids_of_a_container() {
        let pool = UserPool::default();
        let ids = |text: &str| Ids { users: id_ranges(text), groups: id_ranges(text) };
        let slots = |text: &str| (pool.slot_id(0, &ids(text)), pool.slot_id(1, &ids(text)));
        assert_eq!(slots("         0          0 4294967295\n"), (Some(872_415_232), Some(872_480_768)));
        assert_eq!(slots("0 1000 1\n1 100000 65535\n"), (Some(65535), Some(65534)));
        assert_eq!(slots("0 0 1\n"), (None, None));
        assert_eq!(slots("nonsense"), (None, None));
    }

    #[test]
    fn roots_own_group_is_no_build_group() {
        let pool = UserPool { group: "root".into(), ..UserPool::default() };
        let state = tempfile::tempdir().unwrap();
        let granted = pool.member(state.path(), 0, &["nobody".into()], "root:x:0:nobody\n");
        assert!(matches!(granted, Err(Error::RootBuildUsersGroup { .. })));
    }

    #[test]
    fn members_bring_nothing_of_roots() {
        let pool = UserPool { group: "build".into(), ..UserPool::default() };
        let state = tempfile::tempdir().unwrap();
        let groups = "root:x:0:nobody\nbuild:x:77:nobody,root\nkvm:x:104:nobody\n";
        let member = |name: &str| pool.member(state.path(), 77, &[name.into()], groups);
        let Grant::User(user) = member("nobody").unwrap() else { panic!("it is free") };
        assert_eq!((user.gid, &user.groups[..]), (77, &[104][..]));
        assert!(matches!(member("nobody").unwrap(), Grant::Busy));
        assert!(matches!(member("root"), Err(Error::PrivilegedBuildUser { .. })));
    }

    #[test]
    fn a_range_is_a_whole_slot_or_an_error() {
        let state = tempfile::tempdir().unwrap();
        let pool = UserPool { start_id: 1_000_000, id_count: 2 * IDS_PER_SLOT, ..UserPool::default() };
        match pool.acquire(state.path(), true, true) {
            Ok(Grant::User(user)) => assert_eq!((user.uid, user.gid, user.count), (1_000_000, 1_000_000, IDS_PER_SLOT)),
            Err(error) => assert!(error.to_string().contains("uid-range") && !Ids::ours().have(1_065_535), "{error}"),
            Ok(other) => panic!("{other:?}"),
        }
        // Members of a group have one id each; slots serve beside it only where that was asked for.
        let members = UserPool { group: "root".into(), ..UserPool::default() };
        assert!(members.acquire(state.path(), true, true).unwrap_err().to_string().contains("auto-allocate-uids"));
        let auto = UserPool { auto: true, ..members };
        assert!(!matches!(auto.acquire(state.path(), true, false), Err(Error::RootBuildUsersGroup { .. })));
    }

    #[test]
    fn a_missing_group_is_an_error_without_isolation() {
        let state = tempfile::tempdir().unwrap();
        let pool = UserPool { group: "no-such-group-here".into(), ..UserPool::default() };
        assert!(matches!(pool.acquire(state.path(), false, false), Err(Error::NoBuildUsersGroup { .. })));
        assert!(pool.acquire(state.path(), true, false).is_ok());
    }
}
