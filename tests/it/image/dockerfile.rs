//! The Dockerfile, read: no container engine builds it here, so this holds it to what the other tests run.

use std::fs;
use std::path::{Path, PathBuf};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// An instruction of a Dockerfile and its arguments, with continued lines joined.
pub type Instruction = (String, String);

fn instructions() -> Vec<Instruction> {
    let text = fs::read_to_string(Path::new(HERE).join("Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (name, arguments) = line.trim().split_once(' ')?;
        Some((name.to_owned(), arguments.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    joined.lines().filter_map(instruction).collect()
}

/// The instructions of the stage that becomes the image.
pub fn last_stage() -> Vec<Instruction> {
    let all = instructions();
    let start = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    all[start..].to_vec()
}

/// The arguments of the only instruction of this name in the last stage.
#[track_caller]
pub fn only(name: &str) -> String {
    let stage = last_stage();
    let mut found = stage.into_iter().filter(|(one, _)| one == name);
    let (_, arguments) = found.next().unwrap_or_else(|| panic!("the last stage has no {name}"));
    assert!(found.next().is_none(), "the last stage has more than one {name}");
    arguments
}

#[test]
fn the_image_is_the_root_file_system_that_the_script_makes() {
    assert_eq!(only("FROM"), "scratch");
    assert_eq!(only("COPY"), "--from=root /root-of-image/ /");
    let makes_it = ("RUN".to_owned(), "scripts/image rootfs /root-of-image callfeed".to_owned());
    assert!(instructions().contains(&makes_it), "{:?}", instructions());
    // Whatever else the stage says, it puts nothing into the image.
    let stage = last_stage();
    let harmless = ["FROM", "ARG", "LABEL", "COPY", "USER", "ENTRYPOINT", "CMD"];
    let other = stage.iter().find(|(name, _)| !harmless.contains(&name.as_str()));
    assert_eq!(other, None);
}

#[test]
fn the_image_carries_the_version_and_the_licence() {
    assert!(last_stage().contains(&("ARG".to_owned(), format!("VERSION={}", env!("CARGO_PKG_VERSION")))));
    let labels = only("LABEL");
    for label in ["version=\"${VERSION}\"", "revision=\"${REVISION}\"", "title=\"callfeed\"", "licenses=\"Apache-2.0\""]
    {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}")), "{label} is not in {labels}");
    }
}

#[test]
fn the_image_is_built_by_the_pinned_toolchain() {
    let pinned = fs::read_to_string(Path::new(HERE).join("rust-toolchain.toml")).unwrap();
    let version = pinned.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let all = instructions();
    assert!(all.contains(&("ARG".to_owned(), format!("TOOLS=rust:{version}-slim-bookworm"))), "{all:?}");
    assert!(all.contains(&("ENV".to_owned(), format!("RUSTUP_TOOLCHAIN={version}"))), "{all:?}");
}

/// A file that is copied but does not reach the builder, or is not there, would fail the build.
#[test]
fn all_that_is_copied_is_there_and_not_ignored() {
    let ignored = fs::read_to_string(Path::new(HERE).join(".dockerignore")).unwrap();
    let allowed: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "all is ignored but what is named");
    let copied = copied();

    for path in &copied {
        assert!(Path::new(HERE).join(path).exists(), "{path} is not there");
        assert!(allowed.contains(&path.as_str()), "{path} is ignored");
    }
    assert!(allowed.iter().all(|path| copied.iter().any(|one| one == path)), "{allowed:?} but {copied:?}");
}

/// Tests may include what they like: the image is built without them.
#[test]
fn all_that_the_source_includes_is_copied() {
    let copied: Vec<PathBuf> = copied().iter().map(|path| Path::new(HERE).join(path).canonicalize().unwrap()).collect();
    let included = included_by(&Path::new(HERE).join("src"));

    assert!(included.iter().any(|path| path.ends_with("schemas/call_event.avsc")), "{included:?}");
    for path in included {
        assert!(copied.iter().any(|one| path.starts_with(one)), "{} is included, but not copied", path.display());
    }
}

/// What the build stages take from the project.
fn copied() -> Vec<String> {
    let all = instructions();
    let copies = all.iter().filter(|(name, arguments)| name == "COPY" && !arguments.starts_with("--from"));
    copies.flat_map(|(_, arguments)| arguments.rsplit_once(' ').unwrap().0.split(' ')).map(str::to_owned).collect()
}

/// The files that `include_str!` and its like name below a folder, but for those of tests.
fn included_by(folder: &Path) -> Vec<PathBuf> {
    let mut included = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name.ends_with("test") || name.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            included.extend(included_by(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let named = ["include_str!(\"", "include_bytes!(\"", "include!(\""].map(|start| text.split(start).skip(1));
            let files = named.into_iter().flatten().map(|rest| rest.split_once('"').unwrap().0);
            included.extend(files.map(|file| folder.join(file).canonicalize().unwrap()));
        }
    }
    included
}
