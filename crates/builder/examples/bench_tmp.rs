#![allow(dead_code, missing_docs, clippy::all)]
#[path = "../tests/it/rig.rs"]
mod rig;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    if a.get(1).is_some_and(|x| x == builder::sandbox::CHILD_ARGUMENT) {
        std::process::exit(builder::child_main());
    }
    let boxed = a.get(1).is_some_and(|x| x == "boxed");
    let mut r = if boxed { rig::Rig::boxed() } else { rig::Rig::open() };
    r.options.max_jobs = 2;
    let n: usize = a.get(2).map_or(60, |x| x.parse().unwrap());
    let mut prev = None;
    let mut all = vec![];
    for i in 0..n {
        let mut d = r.shell(&format!("c{i}"), "echo 1 > $out");
        if let Some(p) = &prev {
            d = d.uses(p);
        }
        let p = d.write();
        all.push(p.clone());
        prev = Some(p);
    }
    let t = Instant::now();
    let e = r.build(&all[0]);
    eprintln!("{}", e.error_message);
    let res = r.build(prev.as_ref().unwrap());
    eprintln!("chain {n}: {:?} {:?} {}", t.elapsed(), res.status, res.error_message);
    for l in r.log_lines().iter().take(3) {
        eprintln!("{l}");
    }
    let t = Instant::now();
    let refs: Vec<_> = all.iter().collect();
    r.build_in(store::BuildMode::Normal, &refs).unwrap();
    eprintln!("noop {n}: {:?}", t.elapsed());
    let all: Vec<_> = (0..n).map(|i| r.shell(&format!("t{i}"), "echo 1 > $out").write()).collect();
    let refs: Vec<_> = all.iter().collect();
    let t = Instant::now();
    r.build_in(store::BuildMode::Normal, &refs).unwrap();
    eprintln!("parallel {n}: {:?}", t.elapsed());
}
