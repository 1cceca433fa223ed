//! Makes a container of a pod as the API server has it: what a kubelet would do with its command, environment, volumes and user.
//!
//! Whatever a pod asks for that is not done here ends the test: nothing of it is left out in silence.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::Namespace;
use crate::dockerfile;
use crate::support::{Mount, Spec, root_of_image};

/// One pod on this machine.
pub struct Pod<'a> {
    namespace: &'a Namespace,
    manifest: Value,
    folder: TempDir,
    root: PathBuf,
    n_writings: AtomicUsize,
}

impl<'a> Pod<'a> {
    pub fn new(namespace: &'a Namespace, manifest: Value) -> Pod<'a> {
        let folder = TempDir::with_prefix("callfeed-pod-").unwrap();
        let root = root_of_image(&folder);
        let pod = Pod { namespace, manifest, folder, root, n_writings: AtomicUsize::new(0) };
        pod.write_volumes();
        pod
    }

    fn spec(&self) -> &Value {
        &self.manifest["spec"]
    }

    fn name(&self) -> &str {
        self.manifest["metadata"]["name"].as_str().unwrap()
    }

    /// What tells it from one that took its place.
    pub fn id(&self) -> &str {
        self.manifest["metadata"]["uid"].as_str().unwrap()
    }

    fn container(&self) -> &Value {
        let containers = self.spec()["containers"].as_array().unwrap();
        assert!(containers.len() == 1 && self.spec()["initContainers"].is_null(), "{containers:?}");
        &containers[0]
    }

    /// The container, with hosts that the names of Services would lead to; they are on this machine.
    pub fn to_container(&self, hosts: &[&str]) -> Spec {
        let (pod, container) = (&self.spec()["securityContext"], self.container());
        // These two are what the harness gives every container.
        let restricted = json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
        });
        assert_eq!(container["securityContext"], restricted);
        assert_eq!(pod["runAsNonRoot"], true);
        let number = |key: &str| u32::try_from(pod[key].as_u64().unwrap()).unwrap();
        Spec {
            root: self.root.clone(),
            args: self.args(),
            env: self.environment(),
            mounts: self.mounts(hosts),
            user: number("runAsUser"),
            group: number("runAsGroup"),
            more_groups: vec![number("fsGroup")],
            hostname: self.name().to_owned(),
        }
    }

    /// The arguments go to the program of the image.
    fn args(&self) -> Vec<String> {
        assert!(self.container()["command"].is_null());
        let entrypoint: Vec<String> = serde_json::from_str(&dockerfile::only("ENTRYPOINT")).unwrap();
        entrypoint.into_iter().chain(texts(&self.container()["args"])).collect()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = Vec::new();
        for source in list(&self.container()["envFrom"]) {
            let secret = self.namespace.get("secret", source["secretRef"]["name"].as_str().unwrap());
            let names = secret["data"].as_object().unwrap().keys();
            environment.extend(names.map(|name| (name.clone(), self.secret(&secret, name))));
        }
        for variable in list(&self.container()["env"]) {
            environment.push((variable["name"].as_str().unwrap().to_owned(), self.value(variable)));
        }
        environment
    }

    fn value(&self, variable: &Value) -> String {
        let from = &variable["valueFrom"];
        if let Some(text) = variable["value"].as_str() {
            return text.to_owned();
        }
        if let Some(name) = from["secretKeyRef"]["name"].as_str() {
            let secret = self.namespace.get("secret", name);
            return self.secret(&secret, from["secretKeyRef"]["key"].as_str().unwrap());
        }
        assert_eq!(from["fieldRef"]["fieldPath"], "metadata.name", "{variable}");
        self.name().to_owned()
    }

    /// A value of a Secret; kubectl takes it out of its Base64.
    fn secret(&self, secret: &Value, key: &str) -> String {
        assert!(secret["data"][key].is_string(), "no {key} in {}", secret["metadata"]["name"]);
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        self.namespace.kubectl(&["get", "secret", secret["metadata"]["name"].as_str().unwrap(), "--output", &template])
    }

    fn mounts(&self, hosts: &[&str]) -> Vec<Mount> {
        let file = self.folder.path().join("hosts");
        let lines = hosts.iter().map(|host| format!("127.0.0.1 {host}\n"));
        fs::write(&file, format!("127.0.0.1 localhost\n{}", lines.collect::<String>())).unwrap();
        let mut mounts = vec![Mount { source: file, destination: "/etc/hosts".to_owned(), read_only: true }];
        for mount in list(&self.container()["volumeMounts"]) {
            assert!(mount["subPath"].is_null() && mount["readOnly"] == true, "{mount}");
            mounts.push(Mount {
                source: self.volume(mount["name"].as_str().unwrap()),
                destination: mount["mountPath"].as_str().unwrap().to_owned(),
                read_only: true,
            });
        }
        mounts
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join("volumes").join(name)
    }

    /// Writes all volumes as their objects are now: into a new folder each, which then takes the place of the former one in a link.
    pub fn write_volumes(&self) {
        let number = self.n_writings.fetch_add(1, Ordering::Relaxed);
        for volume in list(&self.spec()["volumes"]) {
            let place = self.volume(volume["name"].as_str().unwrap());
            let written = place.join(format!("..{number}"));
            fs::create_dir_all(&written).unwrap();
            fs::set_permissions(&written, Permissions::from_mode(0o755)).unwrap();
            for (key, text) in self.files(volume) {
                self.write_file(&written.join(&key), &text, volume);
                let link = place.join(&key);
                if !link.is_symlink() {
                    symlink(Path::new("..data").join(&key), link).unwrap();
                }
            }
            let link = place.join("..data.new");
            symlink(format!("..{number}"), &link).unwrap();
            fs::rename(link, place.join("..data")).unwrap();
        }
    }

    /// The names and contents of the files of a volume.
    fn files(&self, volume: &Value) -> Vec<(String, String)> {
        if let Some(name) = volume["configMap"]["name"].as_str() {
            let map = self.namespace.get("configmap", name);
            let data = map["data"].as_object().unwrap().iter();
            return data.map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned())).collect();
        }
        let name = volume["secret"]["secretName"].as_str().unwrap_or_else(|| panic!("of another kind: {volume}"));
        let secret = self.namespace.get("secret", name);
        let items = list(&volume["secret"]["items"]);
        let wanted: Vec<(String, String)> = match items {
            [] => secret["data"].as_object().unwrap().keys().map(|key| (key.clone(), key.clone())).collect(),
            items => items.iter().map(|item| (text(&item["key"]), text(&item["path"]))).collect(),
        };
        wanted.into_iter().map(|(key, path)| (path, self.secret(&secret, &key))).collect()
    }

    /// As the volume's mode says, for the group of the pod.
    fn write_file(&self, path: &Path, text: &str, volume: &Value) {
        let kind = if volume["secret"].is_object() { &volume["secret"] } else { &volume["configMap"] };
        let mode = u32::try_from(kind["defaultMode"].as_u64().unwrap()).unwrap();
        let group = self.spec()["securityContext"]["fsGroup"].as_u64().unwrap();
        fs::write(path, text).unwrap();
        chown(path, Some(0), Some(u32::try_from(group).unwrap())).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// The path and the port that a probe asks.
    pub fn probe(&self, name: &str) -> (String, u16) {
        let get = &self.container()[name]["httpGet"];
        let is_named = |port: &&Value| port["name"] == get["port"];
        let port = list(&self.container()["ports"]).iter().find(is_named).unwrap_or_else(|| panic!("no port of {get}"));
        (text(&get["path"]), u16::try_from(port["containerPort"].as_u64().unwrap()).unwrap())
    }

    pub fn grace_period(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.spec()["terminationGracePeriodSeconds"].as_u64().unwrap())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}
