//! The rooms of ARCHITECTURE.md: who may know whom, checked over the graph of crates and the sources.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use reel_tests::{tree, workspace};

/// What only shells may reach: clocks, networks, disks, chance and codecs.
const OUTSIDE: [&str; 12] = [
    "tokio",
    "tonic",
    "openraft",
    "sled",
    "object_store",
    "reqwest",
    "rand",
    "getrandom",
    "ffmpeg-next",
    "ffmpeg-sys-next",
    "x264-sys",
    "rustix",
];
const CODECS: [&str; 4] = ["ffmpeg-next", "ffmpeg-sys-next", "jpeg-encoder", "x264-sys"];

struct Graph {
    metadata: Metadata,
    uses: BTreeMap<PackageId, BTreeSet<PackageId>>,
}

impl Graph {
    /// Normal dependencies of the whole workspace, for this machine, without a look at any registry.
    fn read() -> Graph {
        let mut command = MetadataCommand::new();
        command.manifest_path(workspace().join("Cargo.toml"));
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        command.other_options(["--offline", "--locked", "--filter-platform", &triple].map(str::to_owned));
        let metadata = command.exec().unwrap();
        let nodes = &metadata.resolve.as_ref().unwrap().nodes;
        let normal = |node: &cargo_metadata::Node| {
            let deps =
                node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal));
            deps.map(|dep| dep.pkg.clone()).collect::<BTreeSet<_>>()
        };
        let uses = nodes.iter().map(|node| (node.id.clone(), normal(node))).collect();
        Graph { metadata, uses }
    }

    fn ours(&self) -> Vec<String> {
        self.metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect()
    }

    fn id(&self, name: &str) -> &PackageId {
        let package =
            self.metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name);
        &package.unwrap_or_else(|| panic!("no crate {name}")).id
    }

    fn names<'a>(&'a self, ids: impl IntoIterator<Item = &'a PackageId>) -> BTreeSet<&'a str> {
        ids.into_iter().map(|id| self.metadata[id].name.as_str()).collect()
    }

    /// All that `name` reaches, itself left out.
    fn reach(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            open.extend(self.uses[id].iter().filter(|next| seen.insert(*next)));
        }
        self.names(seen)
    }

    /// Our crates that name `crate_name` among their own dependencies.
    fn users(&self, crate_name: &str) -> BTreeSet<String> {
        let uses = |ours: &String| self.names(&self.uses[self.id(ours)]).contains(crate_name);
        self.ours().into_iter().filter(uses).collect()
    }

    fn assert_apart(&self, room: &str, others: &[&str]) {
        let reach = self.reach(room);
        let wrong: Vec<_> = others.iter().filter(|other| reach.contains(**other)).collect();
        assert!(wrong.is_empty(), "{room} reaches {wrong:?}");
    }
}

#[test]
fn cores_reach_no_clock_network_disk_chance_or_codec() {
    let graph = Graph::read();
    for core in [
        "reel-common",
        "reel-profiles",
        "reel-scheduler-core",
        "reel-worker-core",
        "reel-cmaf",
        "reel-package",
        "reel-ts",
        "reel-text",
        "reel-check",
    ] {
        graph.assert_apart(core, &OUTSIDE);
    }
}

#[test]
fn scheduler_and_worker_never_know_each_other() {
    let graph = Graph::read();
    let worker = [
        "reel-worker",
        "reel-worker-core",
        "reel-store",
        "reel-cmaf",
        "reel-media",
        "reel-package",
        "reel-ts",
        "reel-text",
        "reel-runner",
    ];
    let scheduler = ["reel-scheduler", "reel-scheduler-core"];
    for room in scheduler {
        graph.assert_apart(room, &worker);
    }
    for room in worker {
        graph.assert_apart(room, &scheduler);
    }
}

#[test]
fn codecs_are_linked_by_the_runner_alone() {
    let graph = Graph::read();
    for codec in CODECS {
        assert_eq!(graph.users(codec), BTreeSet::from(["reel-media".to_owned()]), "{codec}");
    }
    assert_eq!(graph.users("reel-media"), BTreeSet::from(["reel-fuzz".to_owned(), "reel-runner".to_owned()]));
    graph.assert_apart("reel-cli", &CODECS);
    graph.assert_apart("reel-scheduler", &CODECS);
}

#[test]
fn consensus_and_its_disk_are_known_to_the_scheduler_alone() {
    let graph = Graph::read();
    for name in ["openraft", "sled"] {
        assert_eq!(graph.users(name), BTreeSet::from(["reel-scheduler".to_owned()]), "{name}");
    }
}

#[test]
fn unsafe_code_stands_in_the_media_room_alone() {
    let word = "unsafe";
    let rooms = ["common", "proto", "profiles", "scheduler", "worker", "ops", "tests", "bench"];
    for room in rooms {
        let root = workspace().join(room);
        for file in tree::files(&root).iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
            let path = root.join(file);
            if path.starts_with(workspace().join("worker/media")) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                let block = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|token| token == word);
                assert!(!block || code.contains('"'), "{}:{}: {line}", path.display(), at + 1);
            }
        }
    }
}

#[test]
fn the_map_names_every_room_and_what_it_uses() {
    let map = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let graph = Graph::read();
    for package in graph.metadata.workspace_packages() {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(workspace()).unwrap();
        let row = map.lines().find(|line| line.starts_with(&format!("| `{folder}` |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md does not name {folder}"));
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let told: BTreeSet<&str> = cell.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let used = graph.names(&graph.uses[&package.id]).into_iter();
        // A core belongs to its shell and is named `core` there.
        let used = used.filter_map(|name| name.strip_prefix("reel-")).filter(|name| *name != "common");
        let used: BTreeSet<&str> =
            used.map(|name| if name.ends_with("-core") { "core" } else { name }).collect();
        assert_eq!(told, used, "{folder}");
    }
}
