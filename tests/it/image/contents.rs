//! What is in the root file system.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{containers_run_here, root_of_image};

#[test]
fn the_image_holds_the_binary_and_what_it_needs_and_nothing_else() {
    if !containers_run_here() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = root_of_image(&folder);

    let mut files = BTreeSet::new();
    collect(&root, &root, &mut files);

    let libraries = ["libc.so.6", "libgcc_s.so.1", "libm.so.6"];
    let notes = ["usr/share/doc/", "var/lib/dpkg/status.d/"];
    let settings = [
        "etc/group",
        "etc/nsswitch.conf",
        "etc/os-release",
        "etc/passwd",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/lib/os-release",
        "usr/local/bin/callfeed",
    ];
    let expected = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        let in_lib = file.starts_with("lib");
        settings.contains(&file)
            || notes.iter().any(|folder| file.starts_with(folder))
            || in_lib && (libraries.contains(&name) || name.starts_with("ld-linux"))
    };
    let unexpected: Vec<&String> = files.iter().filter(|file| !expected(file)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    for name in settings.iter().chain(&libraries) {
        assert!(files.iter().any(|file| file.ends_with(name)), "{name} is missing: {files:?}");
    }
    for package in ["libc6", "libgcc-s1", "ca-certificates"] {
        let licence = fs::read_to_string(root.join(format!("usr/share/doc/{package}/copyright"))).unwrap();
        assert!(!licence.is_empty());
        let status = fs::read_to_string(root.join(format!("var/lib/dpkg/status.d/{package}"))).unwrap();
        assert!(status.starts_with(&format!("Package: {package}\n")) && status.contains("\nVersion: "), "{status}");
    }
}

#[test]
fn the_authorities_of_the_image_are_certificates_that_tls_takes() {
    if !containers_run_here() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let bundle = fs::read(root_of_image(&folder).join("etc/ssl/certs/ca-certificates.crt")).unwrap();

    let mut trusted = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    let certificates: Vec<_> =
        rustls::pki_types::CertificateDer::pem_slice_iter(&bundle).collect::<Result<_, _>>().unwrap();
    let (taken, refused) = trusted.add_parsable_certificates(certificates);

    assert!(taken > 100 && refused == 0, "{taken} taken, {refused} refused");
}

/// All that is no folder, by its path within the root. Nobody but root may write any of it.
fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let mode = meta.permissions().mode();
        assert!(meta.is_symlink() || mode & 0o6022 == 0, "{} has mode {mode:o}", path.display());
        if meta.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}
