//! Ten thousand random edits of a small tree: memory and evaluation agree after each few of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use super::rig::{GRAIN, Rig};

const EDITS: usize = 10_000;

/// A small generator (xorshift): the same edits on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

const TREE: &str = r#"
let
  lib = import ./lib.nix;
  there = p: if builtins.pathExists p then builtins.readFileType p else "nothing";
  loud = builtins.trace "loud ${builtins.readFile ./text}" 1;
in {
  one = lib.twice (import ./one.nix);
  louder = if import ./two.nix == 1 then loud else builtins.trace "quiet" 2;
  loudest = loud;
  two = [ (lib.twice (import ./two.nix)) (builtins.readFile ./text) ];
  names = builtins.readDir ./folder;
  kinds = map there [ ./maybe ./folder/x ./folder/y ./link ];
  linked = import ./link;
  found = import <found.nix>;
  source = "${./folder}";
  filtered = builtins.filterSource (p: t: baseNameOf p != "y") ./folder;
  colour = builtins.getEnv "COLOUR";
  caught = (builtins.tryEval (assert builtins.readFile ./text != "a"; 1)).success;
  derived = derivation { name = "d"; system = "s"; builder = "/b"; src = ./text; };
  constant = 1;
}
"#;

fn set_up() -> Rig {
    let mut rig = Rig::new();
    rig.write("default.nix", TREE);
    rig.write("lib.nix", "{ twice = x: [ x x ]; }");
    for (name, text) in [("one.nix", "1"), ("two.nix", "2"), ("text", "a"), ("folder/x", "x"), ("late/found.nix", "0")]
    {
        rig.write(name, text);
    }
    fs::create_dir(rig.at("early")).unwrap();
    symlink("one.nix", rig.at("link")).unwrap();
    rig.search_path = vec![rig.at("early"), rig.at("late")];
    rig
}

fn remove(rig: &Rig, name: &str) {
    let path = rig.at(name);
    if fs::remove_file(&path).is_err() {
        let _ = fs::remove_dir_all(&path);
    }
}

/// Writes so that size and time of modification tell nothing, by writing or by renaming over.
fn replace(rig: &Rig, random: &mut Random, name: &str, text: &str) {
    let name = match random.below(2) {
        0 => name.to_owned(),
        _ => format!("{name}.new"),
    };
    rig.write(&name, text);
    let forged = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(rig.at(&name)).unwrap().set_modified(forged).unwrap();
    if let Some(target) = name.strip_suffix(".new") {
        fs::rename(rig.at(&name), rig.at(target)).unwrap();
    }
}

fn edit(rig: &mut Rig, random: &mut Random) {
    let digit = random.below(4).to_string();
    let letter = ["a", "b", "c"][random.below(3)];
    match random.below(14) {
        0 => replace(rig, random, "one.nix", &digit),
        1 => replace(rig, random, "two.nix", &digit),
        2 => replace(rig, random, "text", letter),
        3 => replace(rig, random, "lib.nix", &format!("{{ twice = x: [ x {digit} ]; }}")),
        4 => {
            let name = ["folder/x", "folder/y", "folder/z", "maybe"][random.below(4)];
            remove(rig, name);
            match random.below(4) {
                0 => {}
                1 => fs::create_dir(rig.at(name)).unwrap(),
                2 => symlink(["x", "nowhere"][random.below(2)], rig.at(name)).unwrap(),
                _ => rig.write(name, &digit),
            }
        }
        5 | 6 => {
            remove(rig, "link");
            symlink(["one.nix", "two.nix", "late/found.nix"][random.below(3)], rig.at("link")).unwrap();
        }
        7 => remove(rig, "early/found.nix"),
        8 => replace(rig, random, "early/found.nix", &digit),
        9 => replace(rig, random, "late/found.nix", &digit),
        10 => drop(rig.variables.insert("COLOUR".to_owned(), digit)),
        11 => {
            // A folder renamed over the one that is searched first.
            remove(rig, "early");
            fs::create_dir(rig.at("early")).unwrap();
        }
        12 => {
            // Nothing but the times.
            let file = fs::File::options().write(true).open(rig.at("text")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(random.below(100) as u64)).unwrap();
        }
        _ => {
            // A file whose evaluation fails; the next edits mend it.
            replace(rig, random, "one.nix", "throw \"broken\"");
        }
    }
}

#[test]
fn ten_thousand_edits_never_give_a_stale_answer() {
    let mut rig = set_up();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut edits, mut hits, mut partly, mut rounds) = (0, 0, 0, 0);
    while edits < EDITS {
        let now = 1 + random.below(4);
        (0..now).for_each(|_| edit(&mut rig, &mut random));
        edits += now;
        rounds += 1;
        if rounds % 40 == 0 {
            // Let some stamps become firm, so that they are used too.
            std::thread::sleep(GRAIN + GRAIN / 4);
            rig.ask();
        }
        let effort = rig.ask();
        hits += usize::from(effort.parts > 0 && effort.evaluated == 0);
        partly += usize::from(effort.evaluated > 0 && effort.evaluated < effort.parts);
    }
    // The memory was really asked: many edits touch one part only, some none.
    assert!(hits > rounds / 100 && partly > rounds / 4, "{rounds} rounds: {hits} hits, {partly} partly");
}
