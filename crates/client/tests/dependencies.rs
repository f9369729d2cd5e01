//! A program that only talks to a server builds neither server nor store.

use std::process::Command;

#[test]
fn neither_the_server_nor_the_store_is_a_dependency() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", "tandem-client"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("text");
    let mut own: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("tandem"))
        .collect();
    own.sort_unstable();
    own.dedup();
    assert_eq!(own, ["tandem-base", "tandem-client"]);
    assert!(!tree.contains("fjall"));
}
