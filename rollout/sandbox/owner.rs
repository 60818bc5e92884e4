//! Whether whoever made something is still there: a process is known by its id and its start.

use std::fs;

/// When a process started, in ticks since the machine did; none where it is gone. Its id alone may be anybody's by now.
pub(super) fn started(pid: u32) -> Option<u64> {
    field(pid, 19)
}

/// Who started a process; none where it is gone.
pub(super) fn parent_of(pid: u32) -> Option<u32> {
    field(pid, 1)?.try_into().ok()
}

/// A number that the kernel tells of a process, counted from behind its name.
fn field(pid: u32, place: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and parentheses; what follows its last one is counted from the third field on.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A zombie runs nothing any more.
    if *fields.first()? == "Z" {
        return None;
    }
    fields.get(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        assert!(started(std::process::id()).is_some_and(|start| start > 0));
        assert_eq!(started(u32::MAX), None);
        assert_eq!(
            parent_of(std::process::id()),
            Some(std::os::unix::process::parent_id())
        );
    }
}
