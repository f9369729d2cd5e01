use crate::gate::Strike;
use crate::picture::Picture;
use crate::stage::Stage;
use crate::story::{Slot, Story};

/// How everything looks without and with a story's commit.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Without.
    pub before: Picture,
    /// With.
    pub after: Picture,
    /// How many points the story passes.
    pub points: u64,
    /// What a follower gets of it.
    pub commit: (u64, usize),
}

impl Rehearsal {
    /// Runs the story undisturbed.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn of(story: Story, cached: bool) -> Self {
        let stage = Stage::new(cached);
        let before = stage.picture();
        stage.gate.arm(0, Strike::Panic);
        let revision = story.run(&stage.store(), &Slot::default()).expect("undisturbed");
        let points = stage.gate.passes();
        let commits = stage.followed();
        assert_eq!(commits.len(), 1, "one commit");
        assert_eq!(commits[0].0, revision);
        assert_eq!(stage.seen(), stage.picture());
        Self { before, after: stage.picture(), points, commit: commits[0] }
    }

    /// Whether the picture is that of the commit, or of no commit.
    ///
    /// # Errors
    /// It is neither.
    pub fn tell(&self, picture: &Picture) -> Result<bool, String> {
        if *picture == self.before {
            Ok(false)
        } else if *picture == self.after {
            Ok(true)
        } else {
            Err(format!("half a commit:\n{}", picture.differences(&self.after)))
        }
    }

    /// Whether a running store has the commit, in everything that it holds,
    /// shows, sends and remembers.
    ///
    /// # Errors
    /// It has a part of it, or something is left.
    pub fn audit(&self, stage: &Stage, key: Option<&[u8]>) -> Result<bool, String> {
        let stored = self.tell(&stage.picture())?;
        let seen = self.tell(&stage.seen())?;
        if stored != seen && !stage.is_poisoned() {
            return Err(format!("stored: {stored}, seen: {seen}, and not poisoned"));
        }
        stage.is_clean()?;
        let followed = stage.followed();
        let expected = if seen { vec![self.commit] } else { Vec::new() };
        if followed != expected {
            return Err(format!("a follower got {followed:?} instead of {expected:?}"));
        }
        if let Some(key) = key {
            let known = stage.store().committed(key).map_err(|error| error.to_string())?;
            let known = known.map(|receipt| (receipt.revision, receipt.changes));
            if known != seen.then_some(self.commit) {
                return Err(format!("seen: {seen}, the idempotency key knows {known:?}"));
            }
        }
        Ok(seen)
    }
}
