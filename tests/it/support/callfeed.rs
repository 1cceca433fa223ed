//! Processes of the built binary.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{block_on, eventually, signal};

/// What a process of callfeed is started with: arguments, environment, and a folder of its own, which is
/// its working folder and goes away with this and its processes. It can be started many times, also side by side.
pub struct Setup {
    folder: Arc<TempDir>,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// For `callfeed ARGUMENTS...`. Files that [`Setup::file`] writes are named by their bare name there:
    /// `Setup::new(&["run", "--config", "callfeed.yaml"]).file("callfeed.yaml", &text)`.
    pub fn new(arguments: &[&str]) -> Setup {
        Setup {
            folder: Arc::new(TempDir::with_prefix("callfeed-test-").unwrap()),
            program: env!("CARGO_BIN_EXE_callfeed").into(),
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
            environment: Vec::new(),
        }
    }

    /// Writes a file (config, scenario, secret) into the working folder.
    pub fn file(self, name: &str, text: &str) -> Setup {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// Another version of callfeed than the one that is tested.
    pub fn program(self, program: &Path) -> Setup {
        Setup { program: program.to_owned(), ..self }
    }

    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a process. Its output is its own: that of an earlier start is kept beside it.
    pub fn start(&self) -> Callfeed {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        Callfeed::start(command, &self.folder)
    }

    /// Starts a process and waits until it ends by itself.
    #[track_caller]
    pub fn run(&self, timeout: Duration) -> Callfeed {
        let mut process = self.start();
        process.wait_exit(timeout);
        process
    }
}

/// A process of callfeed. It is killed when this goes out of scope; when that happens because the test
/// fails, the end of its output is shown.
pub struct Callfeed {
    child: Child,
    output: PathBuf,
    status: Option<ExitStatus>,
    /// What it wrote can be read for as long as this is there.
    _folder: Arc<TempDir>,
}

impl Callfeed {
    /// Starts a command that becomes callfeed; what it writes is kept in a new folder within `folder`.
    pub(super) fn start(mut command: Command, folder: &Arc<TempDir>) -> Callfeed {
        let output = tempfile::Builder::new()
            .prefix("output-")
            .disable_cleanup(true) // goes away with the folder around it
            .tempdir_in(folder.path())
            .unwrap()
            .keep();
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(output.join("stdout")).unwrap())
            .stderr(File::create(output.join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Callfeed { child, output, status: None, _folder: folder.clone() }
    }

    /// Waits until the process ends by itself; panics when it does not in time.
    #[track_caller]
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        eventually("callfeed to end", timeout, || self.ended())
    }

    /// SIGTERM: asks the process to end. See [`Callfeed::wait_exit`] for the rest.
    pub fn terminate(&mut self) {
        self.signal("TERM");
    }

    /// SIGINT, as Ctrl-C.
    pub fn interrupt(&mut self) {
        self.signal("INT");
    }

    /// SIGHUP: asks for a reload of the configuration.
    pub fn hang_up(&mut self) {
        self.signal("HUP");
    }

    /// SIGKILL: the process is gone when this returns.
    pub fn kill9(&mut self) {
        if self.ended().is_none() {
            self.child.kill().unwrap();
            self.status = Some(self.child.wait().unwrap());
        }
    }

    /// SIGSTOP: the process hangs where it is, with its connections open.
    pub fn stop(&mut self) {
        self.signal("STOP");
    }

    /// SIGCONT: it goes on.
    pub fn cont(&mut self) {
        self.signal("CONT");
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// The exit code; panics while the process runs or when a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> i32 {
        let status = self.ended().expect("callfeed has ended");
        status.code().expect("callfeed ended by itself")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has written to its standard output so far.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What the process has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// Waits until something is written to either output that holds `text`; panics when the process ends
    /// without it.
    #[track_caller]
    pub fn wait_for_output(&mut self, text: &str, timeout: Duration) {
        eventually(&format!("callfeed to write {text:?}"), timeout, || {
            let ended = self.ended();
            let found = self.stdout().contains(text) || self.stderr().contains(text);
            assert!(found || ended.is_none(), "callfeed ended without writing {text:?}");
            found.then_some(())
        });
    }

    /// What the admin port answers, once it is open. Port 0 was asked for; the log says which one it became.
    #[track_caller]
    pub fn admin_url(&self) -> String {
        let address = eventually("the admin port", Duration::from_secs(60), || admin_address(&self.stderr()));
        format!("http://{address}")
    }

    pub fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.admin_url());
        block_on(async move {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.get(url).send().await.unwrap().text().await.unwrap()
        })
    }

    /// What a change through the admin port is answered: the status code and the body.
    pub fn post(&self, path: &str, token: &str, body: &str) -> (u16, String) {
        let request = (format!("{}{path}", self.admin_url()), token.to_owned(), body.to_owned());
        block_on(async move {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let (url, token, body) = request;
            let answer = client.post(url).bearer_auth(token).body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    fn signal(&mut self, name: &str) {
        assert!(self.ended().is_none(), "callfeed has ended: {:?}", self.status);
        signal::send(name, &self.child);
    }

    fn read(&self, stream: &str) -> String {
        let bytes = fs::read(self.output.join(stream)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn admin_address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("admin port open"))?;
    if let Ok(line) = serde_json::from_str::<Value>(line) {
        return Some(format!("{}:{}", line["server.address"].as_str()?, line["server.port"]));
    }
    let at = line.find("127.0.0.1:")?;
    let of_address = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
    Some(line[at..].chars().take_while(|c| of_address(*c)).collect())
}

impl Drop for Callfeed {
    fn drop(&mut self) {
        if self.status.is_none() {
            // It may have ended by itself; it is gone either way.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            for stream in ["stdout", "stderr"] {
                let tail = signal::tail(&self.output.join(stream), 40);
                eprintln!("--- the end of callfeed's {stream}:\n{tail}");
            }
        }
    }
}
