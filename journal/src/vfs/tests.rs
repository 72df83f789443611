//! The simulated disk must be as mean as it says, and agree with the real one otherwise.

use std::io;
use std::path::PathBuf;

use super::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from("/d").join(name)
}

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(&PathBuf::from("/d")).unwrap();
    disk
}

/// A file whose name is durable.
fn file(disk: &SimDisk, name: &str) -> Arc<dyn VfsFile> {
    let file = disk.open(&path(name), OpenMode::Create).unwrap();
    disk.fsync_dir(&path("")).unwrap();
    file
}

#[test]
fn unsynced_sectors_survive_a_crash_in_any_subset() {
    let disk = disk();
    let file = file(&disk, "f");
    write_all(&*file, 0, &[1; 4096]).unwrap();
    file.fdatasync().unwrap();
    write_all(&*file, 0, &[2; 4096]).unwrap();
    assert_eq!(disk.crash(0).contents(&path("f")).unwrap(), [1; 4096]);
    assert_eq!(disk.crash(1).contents(&path("f")).unwrap(), [2; 4096]);
    let mut torn = 0;
    for seed in 2..40 {
        let contents = disk.crash(seed).contents(&path("f")).unwrap();
        let sectors: Vec<u8> = contents.chunks(512).map(|sector| sector[0]).collect();
        assert!(
            contents
                .chunks(512)
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        torn += usize::from(sectors.contains(&1) && sectors.contains(&2));
    }
    assert!(torn > 10, "only {torn} of 38 crashes tore the page");
}

#[test]
fn names_are_durable_only_after_their_directory_was_synced() {
    let disk = disk();
    let a = disk.open(&path("a"), OpenMode::Create).unwrap();
    write_all(&*a, 0, b"a").unwrap();
    a.fdatasync().unwrap();
    assert!(disk.crash(0).contents(&path("a")).is_none());
    disk.fsync_dir(&path("")).unwrap();
    disk.rename(&path("a"), &path("b")).unwrap();
    assert_eq!(disk.crash(0).list(&path("")).unwrap(), ["a"]);
    assert_eq!(disk.crash(1).list(&path("")).unwrap(), ["b"]);
    disk.fsync_dir(&path("")).unwrap();
    disk.unlink(&path("b")).unwrap();
    assert_eq!(disk.crash(0).contents(&path("b")).unwrap(), b"a");
    assert!(disk.contents(&path("b")).is_none());
}

#[test]
fn failed_sync_lies_afterwards_as_ext4_does() {
    let disk = disk();
    let file = file(&disk, "f");
    write_all(&*file, 0, b"old").unwrap();
    file.fdatasync().unwrap();
    write_all(&*file, 0, b"new").unwrap();
    disk.set_faults(Faults {
        fail_sync: Some(0),
        ..Faults::default()
    });
    assert!(file.fdatasync().is_err());
    file.fdatasync().unwrap();
    let mut seen = [0; 3];
    assert_eq!(read_full(&*file, 0, &mut seen).unwrap(), 3);
    assert_eq!(&seen, b"new");
    assert_eq!(disk.crash(1).contents(&path("f")).unwrap(), b"old");
    file.drop_cache().unwrap();
    assert_eq!(disk.contents(&path("f")).unwrap(), b"old");
}

#[test]
fn faults_fire_once_at_the_call_that_was_meant() {
    let disk = disk();
    let file = file(&disk, "f");
    disk.set_faults(Faults {
        fail_write: Some(1),
        short_write: Some(1),
        fail_read: Some(0),
        space: Some(10),
        ..Faults::default()
    });
    assert_eq!(file.pwrite(0, b"1234").unwrap(), 4);
    assert!(file.pwrite(0, b"1234").is_err());
    assert_eq!(file.pwrite(0, b"1234").unwrap(), 2);
    assert!(file.pread(0, &mut [0; 4]).is_err());
    assert_eq!(file.pread(0, &mut [0; 4]).unwrap(), 4);
    let full = file.pwrite(4, b"1234567").unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.pwrite(0, b"again").unwrap(), 5);
}

#[test]
fn cut_ends_every_call_and_loses_the_sync_it_hits() {
    let disk = disk();
    let file = file(&disk, "f");
    let points = disk.points();
    disk.cut_at(points + 1);
    write_all(&*file, 0, b"one").unwrap();
    file.fdatasync().unwrap();
    write_all(&*file, 0, b"two").unwrap();
    assert!(file.fdatasync().is_err());
    assert!(file.pwrite(0, b"x").is_err() && disk.rename(&path("f"), &path("g")).is_err());
    assert_eq!(disk.crash(0).contents(&path("f")).unwrap(), b"one");
}

#[test]
fn both_file_systems_agree() {
    let root = std::env::temp_dir().join(format!("ternmq-vfs-{}", std::process::id()));
    let both: [Box<dyn Vfs>; 2] = [Box::new(RealVfs), Box::new(SimDisk::new())];
    for vfs in both {
        vfs.create_dir(&root).unwrap();
        vfs.create_dir(&root).unwrap();
        let name = |name: &str| root.join(name);
        let missing = vfs
            .open(&name("f"), OpenMode::Existing)
            .map(drop)
            .unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let file = vfs.open(&name("f"), OpenMode::Create).unwrap();
        file.fallocate(8192).unwrap();
        write_all(&*file, 100, b"hello").unwrap();
        file.fdatasync().unwrap();
        file.drop_cache().unwrap();
        assert_eq!(file.size().unwrap(), 8192);
        let mut bytes = [9; 10];
        assert_eq!(read_full(&*file, 98, &mut bytes).unwrap(), 10);
        assert_eq!(&bytes, b"\0\0hello\0\0\0");
        assert_eq!(read_full(&*file, 8190, &mut bytes).unwrap(), 2);
        vfs.rename(&name("f"), &name("g")).unwrap();
        vfs.fsync_dir(&root).unwrap();
        assert_eq!(vfs.list(&root).unwrap(), ["g"]);
        assert_eq!(
            vfs.open(&name("g"), OpenMode::Fresh)
                .unwrap()
                .size()
                .unwrap(),
            0
        );
        let lock = vfs.lock(&name("L")).unwrap();
        let second = vfs.lock(&name("L")).map(drop).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        drop(vfs.lock(&name("L")).unwrap());
        vfs.unlink(&name("g")).unwrap();
        assert_eq!(
            vfs.unlink(&name("g")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
    std::fs::remove_dir_all(&root).unwrap();
}
