use data::file::write_whole;

use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn spec(requirements: &[&str], debian: &[&str]) -> ImageSpec {
    ImageSpec::new("3.11", &strings(requirements), &strings(debian)).expect("a spec")
}

#[test]
fn the_order_and_the_spelling_of_a_spec_do_not_matter() {
    let one = spec(
        &["Jinja2==3.1.4", "ruamel.yaml==0.18.6"],
        &["nodejs", "jest"],
    );
    let other = spec(
        &["ruamel_yaml == 0.18.6", "jinja2==3.1.4", "jinja2==3.1.4"],
        &["jest", "nodejs"],
    );
    assert_eq!(one, other);
    assert_eq!(one.key(), other.key());
}

#[test]
fn another_version_is_another_image() {
    let keys: BTreeSet<String> = [
        spec(&["attrs==24.2.0"], &[]).key(),
        spec(&["attrs==24.3.0"], &[]).key(),
        spec(&[], &[]).key(),
        spec(&[], &["jest"]).key(),
        ImageSpec::new("3.13", &[], &[]).expect("a spec").key(),
    ]
    .into();
    assert_eq!(keys.len(), 5);
}

#[test]
fn the_digest_depends_on_what_was_resolved_and_on_the_archive() {
    let spec = spec(&[], &[]);
    let digest = |version: &str, hash: &str| {
        let versions = BTreeMap::from([("bash".to_string(), version.to_string())]);
        let packed = tree::Packed {
            hash: hash.to_string(),
            bytes: 1,
        };
        Manifest::new(&spec, versions, BTreeMap::new(), &packed).digest
    };
    assert_eq!(digest("5.2", "aa"), digest("5.2", "aa"));
    assert_ne!(digest("5.2", "aa"), digest("5.3", "aa"));
    assert_ne!(digest("5.2", "aa"), digest("5.2", "bb"));
}

#[test]
fn what_is_not_exact_is_refused_with_a_hint() {
    for wrong in [
        "attrs",
        "attrs>=1",
        "attrs==1.*",
        "attrs==1,<2",
        "-r==1",
        "a b==1",
        "attrs==",
        "==1",
    ] {
        let error = ImageSpec::new("3.11", &strings(&[wrong]), &[])
            .expect_err(wrong)
            .to_string();
        assert!(error.contains("hint:"), "{error}");
    }
    let other = ImageSpec::new("3.11", &strings(&["pytest==7.0.0"]), &[])
        .expect_err("another pytest")
        .to_string();
    assert!(other.contains("asked for as 7.0.0 and as 8.4.2"), "{other}");
    let python = ImageSpec::new("3.12", &[], &[])
        .expect_err("no such release")
        .to_string();
    assert!(python.contains("3.11 (bookworm)"), "{python}");
    assert!(ImageSpec::new("3.11", &[], &strings(&["--evil"])).is_err());
}

/// A tiny image below `out`, packed like a real one.
fn packed_image(out: &Path, spec: &ImageSpec) -> Image {
    let root = out.join("tree");
    fs::create_dir_all(root.join("usr/bin")).expect("folder");
    fs::create_dir_all(root.join("dev")).expect("folder");
    fs::write(root.join("dev/null"), "").expect("writes");
    fs::write(root.join("usr/bin/tool"), "#!/bin/sh\n").expect("writes");
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/zool")).expect("links");
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).expect("links");
    let folder = out.join("image");
    fs::create_dir_all(&folder).expect("folder");
    let packed = tree::pack(&root, &folder.join(ARCHIVE)).expect("packs");
    let manifest = Manifest::new(spec, BTreeMap::new(), BTreeMap::new(), &packed);
    write_whole(
        &folder.join(MANIFEST),
        &serde_json::to_vec(&manifest).expect("plain data"),
    )
    .expect("writes");
    Image::open(&folder).expect("is an image")
}

#[test]
fn the_same_tree_packs_to_the_same_bytes_whenever_it_was_written() {
    let (one, other) = (
        tempfile::tempdir().expect("folder"),
        tempfile::tempdir().expect("folder"),
    );
    let spec = spec(&[], &[]);
    let first = packed_image(one.path(), &spec);
    let tool = other.path().join("tree/usr/bin/tool");
    fs::create_dir_all(tool.parent().expect("has one")).expect("folder");
    fs::write(&tool, "older").expect("writes");
    let second = packed_image(other.path(), &spec);
    assert_eq!(first.manifest, second.manifest);
}

#[test]
fn an_image_is_found_by_its_spec_and_unpacked_once() {
    let out = tempfile::tempdir().expect("folder");
    let wanted = spec(&["attrs==24.2.0"], &[]);
    let image = packed_image(out.path(), &wanted);
    assert_eq!(
        Image::find(out.path(), &wanted).map(|found| found.manifest),
        Some(image.manifest.clone())
    );
    assert!(Image::find(out.path(), &spec(&[], &[])).is_none());
    let root = image.root().expect("unpacks");
    assert_eq!(
        fs::read_to_string(root.join("bin/zool")).expect("reads"),
        "#!/bin/sh\n"
    );
    assert!(
        !root.join("dev/null").exists(),
        "an engine makes the devices"
    );
    assert_eq!(image.root().expect("is there"), root);
}

#[test]
fn a_changed_archive_is_no_image() {
    let out = tempfile::tempdir().expect("folder");
    let image = packed_image(out.path(), &spec(&[], &[]));
    fs::write(out.path().join("tree/usr/bin/tool"), "#!/bin/evil\n").expect("writes");
    tree::pack(&out.path().join("tree"), &image.archive()).expect("packs");
    let error = image.root().expect_err("was changed").to_string();
    assert!(error.contains("is no image"), "{error}");
    assert!(!image.folder.join(ROOT).exists(), "nothing is left");
}

#[test]
fn three_failed_installs_stop() {
    let tries = std::cell::Cell::new(0);
    let fails = |again: bool| {
        tries.set(0);
        let work = || {
            tries.set(tries.get() + 1);
            Err::<(), _>(("the index is gone".to_string(), "look".to_string(), again))
        };
        build::three_tries("wheels", &|_| {}, &work)
            .expect_err("fails")
            .to_string()
    };
    let error = fails(true);
    assert_eq!(tries.get(), 3);
    assert!(
        error.contains("after 3 of 3 tries: the index is gone (hint: look)"),
        "{error}"
    );
    fails(false);
    assert_eq!(tries.get(), 1, "what cannot end differently is tried once");
}
