//! The files of a directory, held in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::{BaseNode, Node, ROOT};

/// Files and directories by their names relative to the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// `None` is a directory.
    entries: BTreeMap<PathBuf, Option<Arc<Vec<u8>>>>,
}

impl Image {
    /// Reads a directory.
    ///
    /// # Errors
    /// As the file system answers.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        image.read_below(root, Path::new(""))?;
        Ok(image)
    }

    fn read_below(&mut self, root: &Path, within: &Path) -> io::Result<()> {
        for entry in fs::read_dir(root.join(within))? {
            let entry = entry?;
            let path = within.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.add_directory(path.clone());
                self.read_below(root, &path)?;
            } else {
                #[expect(clippy::disallowed_methods, reason = "this is about files")]
                self.add_file(path, Arc::new(fs::read(entry.path())?));
            }
        }
        Ok(())
    }

    /// Writes it into a directory, which is made anew.
    ///
    /// # Errors
    /// As the file system answers.
    #[expect(clippy::disallowed_methods, reason = "this is about files")]
    pub fn write(&self, root: &Path) -> io::Result<()> {
        if root.exists() {
            fs::remove_dir_all(root)?;
        }
        fs::create_dir_all(root)?;
        for (path, file) in &self.entries {
            let path = root.join(path);
            match file {
                Some(bytes) => fs::write(path, &bytes[..])?,
                None => fs::create_dir(path)?,
            }
        }
        Ok(())
    }

    pub(super) fn add_file(&mut self, path: PathBuf, bytes: Arc<Vec<u8>>) {
        self.entries.insert(path, Some(bytes));
    }

    pub(super) fn add_directory(&mut self, path: PathBuf) {
        self.entries.insert(path, None);
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.entries.iter().filter_map(|(path, file)| Some((path.as_path(), &file.as_ref()?[..])))
    }

    /// The same with one file's bytes changed.
    #[must_use]
    pub fn with(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut image = self.clone();
        if let Some(Some(bytes)) = image.entries.get_mut(path) {
            change(Arc::make_mut(bytes));
        }
        image
    }

    /// Equal images have equal fingerprints, and only those, for all purposes.
    #[must_use]
    pub fn fingerprint(&self) -> u128 {
        let mut hash = Xxh3::new();
        for (path, file) in &self.entries {
            let name = path.as_os_str().as_encoded_bytes();
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name);
            match file {
                Some(bytes) => {
                    hash.update(&(bytes.len() as u64).to_le_bytes());
                    hash.update(bytes);
                }
                None => hash.update(&u64::MAX.to_le_bytes()),
            }
        }
        hash.digest128()
    }

    /// Where two images differ, in words.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let paths = self.entries.keys().chain(other.entries.keys());
        for path in paths {
            let (here, there) = (self.entries.get(path), other.entries.get(path));
            if here != there {
                let say = |entry: Option<&Option<Arc<Vec<u8>>>>| match entry {
                    None => "nothing".to_owned(),
                    Some(None) => "a directory".to_owned(),
                    Some(Some(bytes)) => format!("{} bytes", bytes.len()),
                };
                return Some(format!("{}: {} and {}", path.display(), say(here), say(there)));
            }
        }
        None
    }

    /// The nodes of a recording's beginning; `name` names all but the root.
    pub(crate) fn nodes(&self, mut name: impl FnMut(&Path, bool) -> Node) -> Vec<(Node, BaseNode)> {
        let mut nodes: BTreeMap<Node, BaseNode> = BTreeMap::new();
        let mut named = BTreeMap::from([(PathBuf::new(), ROOT)]);
        nodes.insert(ROOT, BaseNode::Directory(Vec::new()));
        for (path, file) in &self.entries {
            let node = name(path, file.is_none());
            named.insert(path.clone(), node);
            let parent = path.parent().and_then(|parent| named.get(parent)).copied();
            let entry = path.file_name().and_then(|name| name.to_str());
            if let (Some(parent), Some(entry)) = (parent, entry)
                && let Some(BaseNode::Directory(entries)) = nodes.get_mut(&parent)
            {
                entries.push((entry.into(), node));
            }
            let made = match file {
                Some(bytes) => BaseNode::File(bytes.clone()),
                None => BaseNode::Directory(Vec::new()),
            };
            nodes.insert(node, made);
        }
        nodes.into_iter().collect()
    }
}
