use serde_json::Value;
use tandem_record::expression::Expression;
use tandem_record::filter::Filter;

use crate::order::SortPart;
use crate::pipeline::Pipeline;
use crate::pipeline::group::Group;
use crate::pipeline::lookup::Lookup;
use crate::pipeline::project::Projection;
use crate::pipeline::unwind::Unwind;

/// One stage.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Match(Filter),
    /// `$project`, `$addFields`, `$set`, `$unset`.
    Project(Projection),
    /// `$replaceRoot`, `$replaceWith`.
    Replace(Expression),
    Group(Group),
    Sort(Vec<SortPart>),
    Limit(usize),
    Skip(usize),
    Unwind(Unwind),
    /// Under this name.
    Count(String),
    Lookup(Box<Lookup>),
    Facet(Vec<(String, Pipeline)>),
}

impl Stage {
    pub(super) fn name(&self) -> Value {
        match self {
            Self::Match(_) => "$match",
            Self::Project(projection) => projection.stage_name(),
            Self::Replace(_) => "$replaceRoot",
            Self::Group(_) => "$group",
            Self::Sort(_) => "$sort",
            Self::Limit(_) => "$limit",
            Self::Skip(_) => "$skip",
            Self::Unwind(_) => "$unwind",
            Self::Count(_) => "$count",
            Self::Lookup(_) => "$lookup",
            Self::Facet(_) => "$facet",
        }
        .into()
    }
}

/// Whether what the stages answer depends on the order of what they are given.
pub(super) fn depend_on_order(stages: &[Stage]) -> bool {
    for stage in stages {
        match stage {
            Stage::Match(_)
            | Stage::Project(_)
            | Stage::Replace(_)
            | Stage::Unwind(_)
            | Stage::Lookup(_) => {}
            Stage::Count(_) => return false,
            Stage::Group(group) => return !group.is_commutative(),
            Stage::Facet(facets) => {
                return facets.iter().any(|(_, pipeline)| depend_on_order(&pipeline.stages));
            }
            // Equal sort values stay in the order in which they came.
            Stage::Sort(_) | Stage::Limit(_) | Stage::Skip(_) => return true,
        }
    }
    true
}
