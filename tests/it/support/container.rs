//! Containers of the image's root file system, run by runc as a cluster would run them: a user without rights, a root
//! that cannot be written, no capabilities. Only the network is the machine's own, so that the servers of the tests are
//! where they are for every other test, and so is the user namespace.

use std::env;
use std::fs;
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Callfeed, unique_name};

const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/image");

/// What an image and a pod say of a container.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The root file system: see [`Spec::of_image`].
    pub root: PathBuf,
    /// The whole command line; the first is the path of a program within the root.
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Later ones are mounted over earlier ones.
    pub mounts: Vec<Mount>,
    pub user: u32,
    pub group: u32,
    /// Further groups of the user, such as `fsGroup` of a pod.
    pub more_groups: Vec<u32>,
    pub hostname: String,
}

/// A file or folder of this machine, as a container sees it.
#[derive(Clone, Debug)]
pub struct Mount {
    pub source: PathBuf,
    pub destination: String,
    pub read_only: bool,
}

impl Spec {
    /// The user of the image with a command line, and nothing else.
    pub fn new(root: &Path, args: &[&str]) -> Spec {
        Spec {
            root: root.to_owned(),
            args: args.iter().map(|one| (*one).to_owned()).collect(),
            env: Vec::new(),
            mounts: Vec::new(),
            user: 65532,
            group: 65532,
            more_groups: Vec::new(),
            hostname: "callfeed-0".to_owned(),
        }
    }

    pub fn mount(mut self, source: &Path, destination: &str) -> Spec {
        let destination = destination.to_owned();
        self.mounts.push(Mount { source: source.to_owned(), destination, read_only: true });
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Spec {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As the runtime specification of the Open Container Initiative writes it.
    fn to_oci(&self, cgroup: &str) -> Value {
        let none: [&str; 0] = [];
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut mounts = system_mounts();
        mounts.extend(self.mounts.iter().map(Mount::to_oci));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": self.args,
                "env": env,
                "cwd": "/",
                "user": {"uid": self.user, "gid": self.group, "additionalGids": self.more_groups},
                "capabilities": {
                    "bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none,
                },
                "noNewPrivileges": true,
            },
            "root": {"path": self.root, "readonly": true},
            "hostname": self.hostname,
            "mounts": mounts,
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        })
    }
}

impl Mount {
    fn to_oci(&self) -> Value {
        let access = if self.read_only { "ro" } else { "rw" };
        json!({
            "source": self.source, "destination": self.destination, "type": "bind",
            "options": ["rbind", access, "nosuid", "nodev", "noexec"],
        })
    }
}

fn system_mounts() -> Vec<Value> {
    let mount = |kind: &str, destination: &str, options: &[&str]| {
        let options: Vec<&str> = ["nosuid", "noexec"].iter().chain(options).copied().collect();
        json!({"type": kind, "source": kind, "destination": destination, "options": options})
    };
    vec![
        mount("proc", "/proc", &["nodev"]),
        mount("tmpfs", "/dev", &["strictatime", "mode=755", "size=64k"]),
        mount("sysfs", "/sys", &["nodev", "ro"]),
    ]
}

/// A running container. What it writes, its admin port and its exit code are those of a [`Callfeed`]. It is killed when
/// this goes out of scope, and nothing is left of it.
pub struct Container {
    process: Callfeed,
    id: String,
    /// runc's own notes and the file that it starts from.
    folder: Arc<TempDir>,
}

impl Container {
    pub fn start(spec: &Spec) -> Container {
        let folder = Arc::new(TempDir::with_prefix("callfeed-container-").unwrap());
        let id = unique_name("callfeed");
        fs::write(folder.path().join("config.json"), spec.to_oci(&format!("/{id}")).to_string()).unwrap();
        let mut command = runc(&folder);
        command.arg("run").arg("--bundle").arg(folder.path()).arg(&id);
        let process = Callfeed::start(command, &folder);
        Container { process, id, folder }
    }

    /// SIGTERM, as a cluster ends a pod.
    #[track_caller]
    pub fn terminate(&mut self) {
        self.signal("TERM");
    }

    /// SIGHUP: asks for a reload of the configuration.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.signal("HUP");
    }

    /// SIGKILL, as a cluster does after the grace period.
    #[track_caller]
    pub fn kill9(&mut self) {
        self.signal("KILL");
    }

    /// The first process of the container. While it runs, `/proc/<this>` of the machine shows what it may do.
    #[track_caller]
    pub fn first_process(&self) -> u64 {
        let output = runc(&self.folder).args(["state", &self.id]).output().unwrap();
        let state: Value = serde_json::from_slice(&output.stdout).expect("runc knows the container");
        state["pid"].as_u64().unwrap()
    }

    /// runc itself passes no signal on before the container is there, so the container is asked.
    #[track_caller]
    fn signal(&mut self, name: &str) {
        let status = runc(&self.folder).args(["kill", &self.id, name]).status().unwrap();
        assert!(status.success(), "no container for SIG{name}: {}", self.process.stderr());
    }
}

impl Deref for Container {
    type Target = Callfeed;

    fn deref(&self) -> &Callfeed {
        &self.process
    }
}

impl DerefMut for Container {
    fn deref_mut(&mut self) -> &mut Callfeed {
        &mut self.process
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may be gone already, which runc does not mind.
        let _ = runc(&self.folder).args(["delete", "--force", &self.id]).output();
    }
}

/// runc with its notes in the container's own folder: it and other tests do not see each other.
fn runc(folder: &TempDir) -> Command {
    let mut command = Command::new("runc");
    command.arg("--root").arg(folder.path().join("runc"));
    command
}

/// The root file system of the image with the built binary, in a new folder below `folder`.
#[track_caller]
pub fn root_of_image(folder: &TempDir) -> PathBuf {
    let root = folder.path().join("root");
    let output = Command::new(IMAGE).arg("rootfs").arg(&root).arg(env!("CARGO_BIN_EXE_callfeed")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    root
}

/// Whether containers can be run on this machine. Where they cannot, a test that needs them ends at once, and the reason
/// is told where also a test that passes is heard. With CALLFEED_TEST_CONTAINERS=required, as the CI sets it, it fails
/// instead.
#[track_caller]
pub fn containers_run_here() -> bool {
    let Some(reason) = reason_against_containers() else { return true };
    assert!(env::var("CALLFEED_TEST_CONTAINERS").as_deref() != Ok("required"), "no containers: {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not by `eprintln!`, which is kept back for tests that fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: containers cannot be run here: {reason}");
    false
}

fn reason_against_containers() -> Option<String> {
    let answer = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let output = output.map_err(|error| format!("{program}: {error}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(output.stdout) } else { Err(format!("{program}: {}", stderr.trim())) }
    };
    let rights = || -> Result<(), String> {
        let user = answer("id", &["-u"])?;
        if user.trim_ascii() != b"0" {
            return Err("this is not root".to_owned());
        }
        answer("unshare", &["--mount", "--pid", "--ipc", "--uts", "--fork", "true"])?;
        answer("dpkg-deb", &["--version"])?;
        answer("apt-get", &["--version"]).map(drop)
    };
    if let Err(reason) = rights() {
        return Some(reason);
    }
    // Where there is nothing against them but this, it is no reason to leave the test out.
    let runc = Command::new("runc").arg("--version").output();
    assert!(runc.is_ok(), "runc is missing; `scripts/prerequisites containers` installs it");
    None
}
