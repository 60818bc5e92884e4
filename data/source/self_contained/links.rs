//! Links of an archive become what they lead to.
//!
//! In: the files of an archive and its links. Out: a tree of files alone, or which link leads out of it or nowhere.
//! Example: `cash.py -> money.py` becomes a second `money.py` with the name `cash.py`.

use super::tree::{MAX_TREE_BYTES, MAX_TREE_FILES, Tree};

/// Links that lead to links, one after the other.
const MAX_CHAIN: usize = 16;

/// A link, both ends as seen from the top of the archive.
pub(super) struct Link {
    name: String,
    target: String,
}

impl Link {
    /// A link called `name`. A symbolic one is followed from the folder that it lies in, a hard one from the top.
    ///
    /// # Errors
    ///
    /// When it leaves the tree.
    pub(super) fn new(name: &str, target: &[u8], is_symbolic: bool) -> Result<Link, String> {
        let leaves = || format!("the link `{name}` leaves the tree");
        let target = std::str::from_utf8(target)
            .map_err(|_| format!("the link `{name}` leads to no UTF-8 name"))?;
        if target.starts_with('/') {
            return Err(leaves());
        }
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts: Vec<&str> = Vec::new();
        let above = if is_symbolic { folder } else { "" };
        for part in above.split('/').chain(target.split('/')) {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(leaves)?),
                part => parts.push(part),
            }
        }
        Ok(Link {
            name: name.to_string(),
            target: parts.join("/"),
        })
    }
}

/// The tree with a file, or a folder of files, in the place of each link.
pub(super) fn followed(mut tree: Tree, links: Vec<Link>) -> Result<Tree, String> {
    let mut open = links;
    for _ in 0..MAX_CHAIN {
        // A link that leads to a link waits until that one is a file.
        let (ready, waiting): (Vec<Link>, Vec<Link>) = open
            .into_iter()
            .partition(|link| !found(&tree, link).is_empty());
        let Some(_) = ready.first() else {
            return waiting.first().map_or(Ok(tree), |link| {
                Err(format!(
                    "the link `{}` leads to `{}`, which is not in the tree",
                    link.name, link.target
                ))
            });
        };
        let mut bytes: usize = tree.values().map(Vec::len).sum();
        for link in ready {
            for (from, to) in found(&tree, &link) {
                let content = tree[&from].clone();
                bytes += content.len();
                if bytes > MAX_TREE_BYTES || tree.len() >= MAX_TREE_FILES {
                    return Err(format!(
                        "with what `{}` leads to, it becomes too large",
                        link.name
                    ));
                }
                tree.insert(to, content);
            }
        }
        open = waiting;
    }
    Err("its links lead to links, too many in a row".to_string())
}

/// The files that a link stands for, and their names there.
fn found(tree: &Tree, link: &Link) -> Vec<(String, String)> {
    if tree.contains_key(&link.target) {
        return vec![(link.target.clone(), link.name.clone())];
    }
    let (folder, inside) = (format!("{}/", link.target), format!("{}/", link.name));
    let below = tree
        .range(folder.clone()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(&folder));
    // A link to a folder that it lies in would have no end.
    let below = below.filter(|_| !inside.starts_with(&folder));
    below
        .map(|path| (path.clone(), format!("{inside}{}", &path[folder.len()..])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(links: &[(&str, &str)]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let files = [("a.py", "a"), ("d/b.py", "b")]
            .map(|(path, text)| (path.to_string(), text.as_bytes().to_vec()));
        let links = links
            .iter()
            .map(|(name, target)| Link::new(name, target.as_bytes(), true));
        Ok(
            followed(Tree::from(files), links.collect::<Result<_, _>>()?)?
                .into_iter()
                .collect(),
        )
    }

    #[test]
    fn a_link_becomes_what_it_leads_to() {
        let names = |links: &[(&str, &str)]| -> Vec<String> {
            tree(links)
                .expect("a tree")
                .into_iter()
                .map(|(path, text)| format!("{path}={}", text[0] as char))
                .collect()
        };
        assert_eq!(names(&[("c.py", "a.py")]), ["a.py=a", "c.py=a", "d/b.py=b"]);
        assert_eq!(
            names(&[("d/c.py", "../a.py"), ("e", "d/./c.py")]),
            ["a.py=a", "d/b.py=b", "d/c.py=a", "e=a"]
        );
        assert_eq!(names(&[("e", "d")]), ["a.py=a", "d/b.py=b", "e/b.py=b"]);
    }

    #[test]
    fn a_link_out_of_the_tree_or_nowhere_is_refused() {
        let why = |name, target| tree(&[(name, target)]).expect_err("is refused");
        assert!(why("c.py", "/etc/passwd").contains("leaves"));
        assert!(why("c.py", "../a.py").contains("leaves"));
        assert!(why("c.py", "gone.py").contains("which is not in the tree"));
        assert!(why("c.py", "c.py").contains("which is not in the tree"));
        assert!(why("d/up", "..").contains("not in the tree"));
        assert!(why("d/up", ".").contains("not in the tree"));
    }
}
