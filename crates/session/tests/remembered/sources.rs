//! Large sources are not read again while they look the same.

use super::rig::Rig;

fn with_source() -> Rig {
    let rig = Rig::new();
    rig.write("default.nix", "{ a = \"${./src}\"; }");
    for number in 0..20 {
        rig.write(&format!("src/{number}"), vec![number; 10_000]);
    }
    rig
}

#[test]
fn an_unchanged_source_is_not_read() {
    for read_only in [true, false] {
        let mut rig = with_source();
        rig.read_only = read_only;
        rig.settle();
        assert!(rig.ask().contents_read > 0);
        assert_eq!(rig.ask().contents_read, 0);
        // The question is another one, the source is not: only the expression is read.
        rig.write("default.nix", "{ a = \"${./src}/0\"; }");
        let again = rig.ask();
        // Once to see that the expression changed, once to evaluate it.
        assert_eq!((again.evaluated, again.contents_read), (1, 2));
    }
}

#[test]
fn a_changed_source_is_read() {
    let rig = with_source();
    rig.settle();
    rig.ask_twice();
    rig.write("src/3", vec![7; 10_000]);
    assert_eq!(rig.ask().evaluated, 1);
    rig.settle();
    rig.write("src/3", vec![3; 10_000]);
    assert_eq!(rig.ask().evaluated, 1);
}
