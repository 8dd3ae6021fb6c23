//! Only what read something that changed is evaluated again.

use super::rig::Rig;

/// Eighty attributes that share most of their work, each with a leaf of its own.
fn eighty() -> Rig {
    let rig = Rig::new();
    rig.write("lib.nix", "{ make = n: { name = n; deps = map (d: d.name) [ (import ./base.nix) ]; leaf = import (./leaves + \"/${n}.nix\"); }; }");
    rig.write("base.nix", "{ name = builtins.readFile ./base; }");
    rig.write("base", "base");
    let names: Vec<String> = (0..80).map(|number| format!("p{number}")).collect();
    for name in &names {
        rig.write(&format!("leaves/{name}.nix"), format!("\"leaf {name}\""));
    }
    let all: String = names.iter().map(|name| format!("{name} = lib.make \"{name}\";\n")).collect();
    let below = "chain = { a = self.p3.leaf; b = self.p4.name; };";
    rig.write("default.nix", format!("let lib = import ./lib.nix; self = {{ {all} {below} }}; in self"));
    rig
}

#[test]
fn one_leaf_of_eighty() {
    for settled in [false, true] {
        let rig = eighty();
        if settled {
            rig.settle();
        }
        rig.ask_twice();
        rig.write("leaves/p7.nix", "\"other\"");
        assert_eq!(rig.ask().evaluated, 1);
        assert_eq!(rig.ask().evaluated, 0);
        // One that another attribute looks at through the set, although the leaf was read for the first one.
        rig.write("leaves/p3.nix", "\"third\"");
        assert_eq!(rig.ask().evaluated, 2);
        assert_eq!(rig.ask().evaluated, 0);
        // Parts that were not evaluated the last time still know what they read.
        rig.write("leaves/p7.nix", "\"again\"");
        rig.write("leaves/p8.nix", "\"too\"");
        assert_eq!(rig.ask().evaluated, 2);
        // What all use was read for the first of them.
        rig.write("base", "another base");
        assert_eq!(rig.ask().evaluated, 81 - 1, "all but the one that takes no base");
        rig.write("lib.nix", "{ make = n: n; }");
        let all = rig.ask().evaluated;
        assert_eq!(all, 0, "an answer that fails is no answer");
    }
}

#[test]
fn failures_that_are_caught_were_read_too() {
    let rig = Rig::new();
    rig.write("default.nix", "let x = if builtins.readFile ./f == \"yes\" then 1 else throw \"no\"; in { a = (builtins.tryEval x).success; b = (builtins.tryEval x).success; c = 1; }");
    rig.write("f", "no");
    rig.ask_twice();
    rig.write("f", "yes");
    assert_eq!(rig.ask().evaluated, 2);
}

#[test]
fn what_is_met_only_inside_values_was_read_too() {
    let rig = Rig::new();
    rig.write(
        "default.nix",
        "let lib = import ./lib.nix; s = with lib; rec { inherit (lib) x; y = x + 1; l = [ x y ]; }; in \
         { a = s.l; b = s // { y = 0; }; c = builtins.elemAt s.l 1; d = (x: x.y) s; e = { inherit (s) y; }; f = 1; \
           g = builtins.attrNames s; h = map (v: v) s.l; i = builtins.foldl' (a: b: a + b) 0 s.l; }",
    );
    rig.write("lib.nix", "{ x = import ./x.nix; }");
    rig.write("x.nix", "1");
    rig.ask_twice();
    rig.write("x.nix", "2");
    // All but the constant and the names.
    assert_eq!(rig.ask().evaluated, 7);
    assert_eq!(rig.ask().evaluated, 0);
}

#[test]
fn derivations_in_several_places_count_once() {
    let mut rig = Rig::new();
    rig.passes = 2;
    let make = "n: derivation { name = n; system = \"s\"; builder = \"/b\"; }";
    rig.write(
        "default.nix",
        format!(
            "let m = {make}; s = {{ a = m (import ./a.nix); b = s.a; c = m (import ./c.nix); d = m \"d\"; }}; in s"
        ),
    );
    rig.write("a.nix", "\"a\"");
    rig.write("c.nix", "\"c\"");
    rig.ask_twice();
    rig.write("c.nix", "\"cc\"");
    assert_eq!(rig.ask().evaluated, 1);
    // `b` is the same value: both go together.
    rig.write("a.nix", "\"aa\"");
    assert_eq!(rig.ask().evaluated, 2);
    // What becomes equal to another part's derivation may be the same value: all are looked at.
    rig.write("c.nix", "\"d\"");
    assert_eq!(rig.ask().evaluated, 4);
    assert_eq!(rig.ask().evaluated, 0);
}

#[test]
fn messages_stay_in_their_parts() {
    for passes in [1, 2] {
        let mut rig = Rig::new();
        rig.passes = passes;
        rig.write("default.nix", "let t = import ./t.nix; say = builtins.trace; in { a = say \"a\" 1; b = say \"b\" (import ./b.nix); c = say \"c\" (import ./c.nix t); d = t.d; e = t.e; }");
        rig.write("t.nix", "{ d = builtins.trace \"shared\" 1; e = 2; }");
        rig.write("b.nix", "1");
        rig.write("c.nix", "t: 1");
        rig.ask_twice();
        rig.write("b.nix", "builtins.trace \"new\" 2");
        assert_eq!(rig.ask().evaluated, 1);
        assert_eq!(rig.ask().evaluated, 0);
        // It speaks no more: perhaps another part does now.
        rig.write("b.nix", "2");
        assert_eq!(rig.ask().evaluated, 5);
        // What `d` said comes from `c` now, which meets it first.
        rig.write("c.nix", "t: t.d");
        assert_eq!(rig.ask().evaluated, 5);
        assert_eq!(rig.ask().evaluated, 0);
        rig.write("c.nix", "t: t.e");
        assert_eq!(rig.ask().evaluated, 5);
    }
}
