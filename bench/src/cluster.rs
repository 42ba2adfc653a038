//! Schedulers as processes of their own, and what the kernel says of them.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reel_client::Client;

/// The kernel counts processor time in hundredths of a second (`proc(5)`).
const TICKS_A_SECOND: u64 = 100;
/// Far above what a cluster needs to come about.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Schedulers that are killed when this is dropped.
pub struct Cluster {
    nodes: Vec<Child>,
    addresses: Vec<SocketAddr>,
    folder: tempfile::TempDir,
    reel: PathBuf,
}

impl Cluster {
    /// Starts so many schedulers with folders below `work`.
    ///
    /// # Errors
    /// A folder cannot be made, or `reel` is not there.
    pub fn start(work: &Path, size: usize) -> Result<Self> {
        fs::create_dir_all(work)?;
        let folder = tempfile::Builder::new().prefix("farm-").tempdir_in(work)?;
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let addresses = (0..size).map(|_| free()).collect::<std::io::Result<Vec<_>>>()?;
        let reel = std::env::current_exe()?.with_file_name("reel");
        ensure!(
            reel.exists(),
            "{} is not built: run `make bench-farm` or `make bench-tasks`",
            reel.display()
        );
        let mut cluster = Cluster { nodes: Vec::new(), addresses, folder, reel };
        for id in 1..=size as u64 {
            let node = cluster.spawn(id)?;
            cluster.nodes.push(node);
        }
        Ok(cluster)
    }

    fn spawn(&self, id: u64) -> Result<Child> {
        let mut command = Command::new(&self.reel);
        command.args(["scheduler", "start", "--id", &id.to_string(), "--listen"]);
        command.arg(self.addresses[id as usize - 1].to_string());
        command.arg("--data").arg(self.folder.path().join(id.to_string()));
        match id {
            1 => command.arg("--bootstrap"),
            _ => command.arg("--join").arg(format!("http://{}", self.addresses[0])),
        };
        let log =
            File::options().create(true).append(true).open(self.folder.path().join(format!("{id}.log")))?;
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
    }

    /// Kills a node with SIGKILL.
    ///
    /// # Errors
    /// There is no such node, or it cannot be killed.
    pub fn kill(&mut self, id: u64) -> Result<()> {
        let node = self.nodes.get_mut(id as usize - 1).context("a node of this cluster")?;
        node.kill()?;
        node.wait()?;
        Ok(())
    }

    /// Starts a node again that was killed.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn restart(&mut self, id: u64) -> Result<()> {
        self.nodes[id as usize - 1] = self.spawn(id)?;
        Ok(())
    }

    /// Waits until every node has nearly all that the leader has.
    ///
    /// # Errors
    /// They do not within [`PATIENCE`].
    pub async fn wait_until_level(&self, client: &Client) -> Result<()> {
        let level = async {
            loop {
                let status = client.cluster().await?;
                let near = |matched: u64| matched + 1000 > status.last_log;
                let leads = status.leader == Some(status.node);
                if leads && status.members.iter().all(|m| m.id == status.node || m.matched.is_some_and(near))
                {
                    return anyhow::Ok(());
                }
                // Asks the leader, which alone knows.
                client.workers().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, level).await.context("a node does not catch up")?
    }

    /// The folder of all nodes, which goes with the cluster.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Their addresses, as `--server` takes them.
    pub fn servers(&self) -> String {
        self.addresses.iter().map(|address| format!("http://{address}")).collect::<Vec<_>>().join(",")
    }

    /// Waits until all nodes are voters.
    ///
    /// # Errors
    /// They are not within [`PATIENCE`].
    pub async fn wait_until_whole(&self, client: &Client) -> Result<()> {
        let whole = async {
            loop {
                let voters = client.cluster().await?.members.iter().filter(|member| member.voter).count();
                if voters == self.nodes.len() {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, whole).await.context("the cluster does not come about")?
    }

    /// Processor time of a node.
    ///
    /// # Errors
    /// There is no such node, or it does not run.
    pub fn cpu(&self, id: u64) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process(id)?))?;
        // Behind the name in brackets, which may hold anything: state, and from there the 12th and 13th numbers.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| {
            fields.get(at).and_then(|field| field.parse::<u64>().ok()).context("a count of ticks")
        };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS_A_SECOND))
    }

    /// Greatest resident memory of a node, in bytes.
    ///
    /// # Errors
    /// As [`Cluster::cpu`].
    pub fn memory(&self, id: u64) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process(id)?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.split_whitespace().next().context("a size")?.parse::<u64>()? << 10)
    }

    fn process(&self, id: u64) -> Result<u32> {
        Ok(self.nodes.get(id as usize - 1).context("a node of this cluster")?.id())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            // It may have ended by itself.
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}
