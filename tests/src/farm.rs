//! A whole farm of real processes on loopback: schedulers and workers that can be killed, stopped and started again.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::clouds::Variables;
use crate::reel::{Reel, program, send, until};
use crate::servers::free_address;

/// Far above what a healthy farm needs to come about or to elect a leader.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a farm is made of.
#[derive(Clone, Debug)]
pub struct FarmBuilder {
    schedulers: usize,
    workers: usize,
    slots: u32,
    leases: Leases,
    /// Folders of schedulers that do not lie in the farm's own.
    folders: BTreeMap<usize, PathBuf>,
    /// More options of `reel scheduler start`.
    options: &'static str,
    /// How workers learn that their hosts go, if they do.
    notices: BTreeMap<usize, (String, Variables)>,
    /// The store of the workers, where it does not lie in the farm's own folder.
    store: Option<String>,
    variables: Variables,
}

/// The times of a lease, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Leases {
    /// Between heartbeats.
    pub heartbeat_ms: u64,
    /// Until a worker stops by itself.
    pub lease_ms: u64,
    /// Until its work goes to others, after that.
    pub grace_ms: u64,
}

/// One process of a farm. Its folder and address outlive it.
struct Process {
    words: Vec<String>,
    variables: Variables,
    log: PathBuf,
    child: Option<Child>,
}

/// A farm that runs. All of its processes are killed when it is dropped.
pub struct Farm {
    dir: tempfile::TempDir,
    store: Option<String>,
    variables: Variables,
    addresses: Vec<SocketAddr>,
    schedulers: Vec<Process>,
    workers: Vec<Process>,
}

impl FarmBuilder {
    /// Schedulers, all of them voters.
    #[must_use]
    pub fn schedulers(self, schedulers: usize) -> Self {
        FarmBuilder { schedulers, ..self }
    }

    /// Workers.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        FarmBuilder { workers, ..self }
    }

    /// Slots of each worker.
    #[must_use]
    pub fn slots(self, slots: u32) -> Self {
        FarmBuilder { slots, ..self }
    }

    /// The folder of one scheduler.
    #[must_use]
    pub fn folder(mut self, number: usize, folder: &Path) -> Self {
        self.folders.insert(number, folder.to_owned());
        self
    }

    /// More options of `reel scheduler start`.
    #[must_use]
    pub fn options(self, options: &'static str) -> Self {
        FarmBuilder { options, ..self }
    }

    /// How one worker learns that its host goes: options of `reel worker start`, and variables.
    #[must_use]
    pub fn notices(mut self, number: usize, options: &str, variables: Variables) -> Self {
        self.notices.insert(number, (options.to_owned(), variables));
        self
    }

    /// The store that the workers use.
    #[must_use]
    pub fn store(self, url: &str) -> Self {
        FarmBuilder { store: Some(url.to_owned()), ..self }
    }

    /// Variables in the environment of every process.
    #[must_use]
    pub fn env(mut self, variables: Variables) -> Self {
        self.variables.extend(variables);
        self
    }

    /// The times of a lease.
    #[must_use]
    pub fn leases(self, leases: Leases) -> Self {
        FarmBuilder { leases, ..self }
    }

    /// Starts all of it, and waits until every scheduler votes and every worker is known.
    pub fn start(self) -> Farm {
        let dir = crate::scratch();
        let addresses: Vec<SocketAddr> = (0..self.schedulers).map(|_| free_address()).collect();
        let schedulers = (0..self.schedulers).map(|number| self.scheduler(dir.path(), &addresses, number));
        let workers = (0..self.workers).map(|number| self.worker(dir.path(), &addresses, number));
        let (schedulers, workers) = (schedulers.collect(), workers.collect());
        let mut farm =
            Farm { dir, store: self.store, variables: self.variables, addresses, schedulers, workers };
        (0..self.schedulers).for_each(|number| farm.start_scheduler(number));
        (0..self.workers).for_each(|number| farm.start_worker(number));
        until("the schedulers to form a cluster", PATIENCE, || {
            farm.members().iter().filter(|member| member["voter"] == true).count() == self.schedulers
        });
        until("the workers to be ready", PATIENCE, || {
            farm.worker_list().iter().filter(|worker| worker["state"] == "ready").count() == self.workers
        });
        farm
    }

    fn scheduler(&self, dir: &Path, addresses: &[SocketAddr], number: usize) -> Process {
        let Leases { heartbeat_ms, lease_ms, grace_ms } = self.leases;
        let beginning = match number {
            0 => "--bootstrap".to_owned(),
            _ => format!("--join http://{}", addresses[0]),
        };
        let line = format!(
            "scheduler start --id {} --listen {} {beginning} --heartbeat-ms {heartbeat_ms} --lease-ms {lease_ms} \
             --grace-ms {grace_ms} {} --data",
            number + 1,
            addresses[number],
            self.options,
        );
        let name = format!("s{}", number + 1);
        let folder = self.folders.get(&number).cloned().unwrap_or_else(|| dir.join(&name));
        Process::new(dir, &name, &line, &folder, &self.variables)
    }

    fn worker(&self, dir: &Path, addresses: &[SocketAddr], number: usize) -> Process {
        let name = format!("w{}", number + 1);
        // The machine that runs the test may itself be one of a cloud.
        let nobody = || ("--cloud none".to_owned(), Variables::new());
        let (notices, own) = self.notices.get(&number).cloned().unwrap_or_else(nobody);
        let line = format!(
            "worker start --name {name} --slots {} --notice 30 {notices} --server {} --store {} --data",
            self.slots,
            servers(addresses),
            store_of(dir, self.store.as_deref()),
        );
        let variables = self.variables.iter().cloned().chain(own).collect();
        Process::new(dir, &name, &line, &dir.join(&name), &variables)
    }
}

/// The store of the workers: the given one, or a folder of the farm's own.
fn store_of(dir: &Path, given: Option<&str>) -> String {
    given.map_or_else(|| format!("file://{}", dir.join("store").display()), str::to_owned)
}

fn servers(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(",")
}

impl Process {
    fn new(dir: &Path, name: &str, line: &str, folder: &Path, variables: &Variables) -> Process {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words.push(folder.display().to_string());
        let log = dir.join(format!("{name}.log"));
        Process { words, variables: variables.clone(), log, child: None }
    }

    fn start(&mut self) {
        assert!(self.child.is_none(), "{:?} runs already", self.words);
        let log = File::options().create(true).append(true).open(&self.log).expect("a writable folder");
        let mut command = Command::new(program("reel"));
        command.args(&self.words).process_group(0).env_remove("REEL_LOG");
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}")));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; runners die with their agent.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn send(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("{:?} does not run", self.words));
        send(child.id(), signal).expect("it was not waited for");
    }
}

impl Farm {
    /// One scheduler and one worker with one slot, and leases that outlast an election by little.
    pub fn builder() -> FarmBuilder {
        let leases = Leases { heartbeat_ms: 500, lease_ms: 6000, grace_ms: 500 };
        let (folders, notices, variables) = (BTreeMap::new(), BTreeMap::new(), Variables::new());
        let (store, options) = (None, "");
        FarmBuilder {
            schedulers: 1,
            workers: 1,
            slots: 1,
            leases,
            folders,
            options,
            notices,
            store,
            variables,
        }
    }

    /// A folder that all hosts of the farm share.
    pub fn shared(&self) -> &Path {
        self.dir.path()
    }

    /// A `reel` command that speaks to this farm.
    pub fn reel(&self, line: &str) -> Reel {
        let work = self.dir.path().join("client");
        fs::create_dir_all(&work).expect("a writable folder");
        let servers = [("REEL_SERVER", servers(&self.addresses))];
        Reel::new(&work, line.split_whitespace()).env(self.variables.clone()).env(servers)
    }

    /// Submits a job that delivers to the folder `name` of the shared folder, and gives its number.
    pub fn submit(&self, mezzanine: impl AsRef<OsStr>, name: &str, profile: &Path, more: &str) -> u64 {
        let submit =
            self.reel("submit").arg(mezzanine.as_ref()).arg(self.output(name)).arg("--profile").arg(profile);
        let accepted = submit.arg("--json").args(more).run().success().json();
        accepted["job"].as_u64().expect("the number of a job")
    }

    /// Where the job that was submitted as `name` delivers.
    pub fn output(&self, name: &str) -> PathBuf {
        self.dir.path().join("titles").join(name)
    }

    /// Waits until a job is done.
    pub fn wait(&self, job: u64) -> Value {
        self.reel(&format!("job wait {job} --json")).run().success().json()
    }

    /// A job as it is now.
    pub fn job(&self, job: u64) -> Value {
        self.reel(&format!("job show {job} --json")).run().success().json()
    }

    /// The cluster as its leader sees it, or whoever answers; `None` where nobody does.
    pub fn status(&self) -> Option<Value> {
        let ended = self.reel("cluster status --json").run();
        (ended.code == Some(0)).then(|| ended.json())
    }

    /// The schedulers of [`Farm::status`]; none where nobody answers.
    pub fn members(&self) -> Vec<Value> {
        self.status().and_then(|status| status["members"].as_array().cloned()).unwrap_or_default()
    }

    /// A worker as the leader sees it, `w1`; `None` when it is gone.
    pub fn worker(&self, name: &str) -> Option<Value> {
        self.worker_list().into_iter().find(|worker| worker["name"] == name)
    }

    /// The workers as the leader sees them.
    pub fn worker_list(&self) -> Vec<Value> {
        let listed = self.reel("worker list --json").run().success().json();
        listed["workers"].as_array().cloned().unwrap_or_default()
    }

    /// The scheduler that leads: waits until a majority that runs agrees on one that runs.
    pub fn leader(&self) -> usize {
        let mut leader = None;
        until("a leader", PATIENCE, || {
            // Linearizable, so that no old leader answers.
            let answered = self.reel("worker list --json").run().code == Some(0);
            let status = self.status().filter(|_| answered).unwrap_or_default();
            leader = status["leader"].as_u64().map(|id| id as usize - 1);
            leader.is_some_and(|leader| self.schedulers[leader].child.is_some())
        });
        leader.expect("one was found")
    }

    /// The addresses of its schedulers, as `--server` takes them.
    pub fn servers(&self) -> String {
        servers(&self.addresses)
    }

    /// Whether a scheduler has ended by itself.
    pub fn has_ended(&mut self, number: usize) -> bool {
        let child = self.schedulers[number].child.as_mut().expect("it was started");
        child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Starts a scheduler, with the folder that it had before.
    pub fn start_scheduler(&mut self, number: usize) {
        self.schedulers[number].start();
    }

    /// Adds a scheduler with the given number in the cluster; the first takes it in.
    pub fn add_scheduler(&mut self, id: u64) {
        let address = free_address();
        let line = format!(
            "scheduler start --id {id} --listen {address} --join {} --data",
            servers(&self.addresses)
        );
        let name = format!("s{id}");
        let folder = self.dir.path().join(&name);
        let mut process = Process::new(self.dir.path(), &name, &line, &folder, &self.variables);
        process.start();
        self.addresses.push(address);
        self.schedulers.push(process);
    }

    /// Kills a scheduler with SIGKILL.
    pub fn kill_scheduler(&mut self, number: usize) {
        self.schedulers[number].kill();
    }

    /// Sends a signal to a scheduler.
    pub fn signal_scheduler(&self, number: usize, signal: Signal) {
        self.schedulers[number].send(signal);
    }

    /// Starts a worker, with the folder that it had before.
    pub fn start_worker(&mut self, number: usize) {
        self.workers[number].start();
    }

    /// Adds a worker with more options, and gives its number.
    pub fn add_worker(&mut self, name: &str, options: &str) -> usize {
        let line = format!(
            "worker start --name {name} --slots 1 --notice 30 --cloud none {options} --server {} --store {} --data",
            servers(&self.addresses),
            store_of(self.dir.path(), self.store.as_deref()),
        );
        let folder = self.dir.path().join(name);
        let mut process = Process::new(self.dir.path(), name, &line, &folder, &self.variables);
        process.start();
        self.workers.push(process);
        self.workers.len() - 1
    }

    /// Kills a worker with SIGKILL; its runners die with it.
    pub fn kill_worker(&mut self, number: usize) {
        self.workers[number].kill();
    }

    /// Sends a signal to a worker's agent.
    pub fn signal_worker(&self, number: usize, signal: Signal) {
        self.workers[number].send(signal);
    }

    /// Waits for the good end of a worker that was asked to end, and gives how long that took.
    pub fn wait_worker(&mut self, number: usize) -> Duration {
        let start = Instant::now();
        let worker = &mut self.workers[number];
        let mut status = None;
        until("the end of a worker", PATIENCE, || {
            let child = worker.child.as_mut().expect("it runs");
            status = child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        worker.child = None;
        assert_eq!(status.and_then(|status| status.code()), Some(0), "a worker that was asked to end");
        start.elapsed()
    }

    /// Id of a worker's agent.
    pub fn worker_id(&self, number: usize) -> u32 {
        self.workers[number].child.as_ref().expect("it runs").id()
    }

    /// What a process of the farm has said, `s1` or `w2`.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default()
    }
}

impl Drop for Farm {
    #[expect(clippy::print_stderr, reason = "a failed test shows what the farm has said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let names = (1..=self.schedulers.len()).map(|n| format!("s{n}"));
            for name in names.chain((1..=self.workers.len()).map(|n| format!("w{n}"))) {
                let log = self.log(&name);
                let lines: Vec<&str> = log.lines().rev().take(15).collect();
                eprintln!("{name}:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
        self.workers.iter_mut().chain(&mut self.schedulers).for_each(Process::kill);
    }
}
