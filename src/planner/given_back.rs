//! Availability with the draws of one reservation given back, so that an amendment may take them again; or, for who plans several
//! reservations one after the other, with those of all before it.

use std::ops::Deref;
use std::sync::Arc;

use crate::domain::bucket::Availability;
use crate::domain::draw::{Draw, Pool};
use crate::domain::levels::Levels;
use crate::domain::network::{Network, ResourceIdx};

/// A base with some draws given back to the pools they came from. What the draws touch is read once, when this is made; all
/// else is read from the base.
pub struct GivenBack<'a, A: ?Sized> {
    base: &'a A,
    /// By resource, ascending.
    changed: Vec<(ResourceIdx, Levels)>,
}

impl<'a, A: Availability + ?Sized> GivenBack<'a, A> {
    /// Gives back the draws of a reservation that is held, or else confirmed, and was made by this channel. Draws of resources that the network does not
    /// know are passed over.
    pub fn new(network: &Network, base: &'a A, draws: &[Draw], held: bool, by: Option<&Arc<str>>) -> Self {
        let mut given_back = GivenBack { base, changed: Vec::new() };
        given_back.add(network, draws, held, by, -1);
        given_back
    }

    /// Has a reservation's draws replaced by others, as a ledger does when it is moved.
    pub fn moved(&mut self, network: &Network, from: &[Draw], to: &[Draw], held: bool, by: Option<&Arc<str>>) {
        self.add(network, from, held, by, -1);
        self.add(network, to, held, by, 1);
    }

    fn add(&mut self, network: &Network, draws: &[Draw], held: bool, by: Option<&Arc<str>>, sign: i64) {
        for draw in draws {
            let Some(resource) = network.find_resource(draw.resource.as_str()) else { continue };
            let at = match self.changed.binary_search_by_key(&resource, |(r, _)| *r) {
                Ok(at) => at,
                Err(at) => {
                    self.changed.insert(at, (resource, self.base.levels(resource).clone()));
                    at
                }
            };
            let levels = &mut self.changed[at].1;
            let mut level = levels.get(draw.index).cloned().unwrap_or_default();
            let units = sign * draw.units;
            if held {
                level.held += units;
            } else {
                level.confirmed += units;
            }
            if draw.pool != Pool::Common {
                level.pool_mut(&draw.pool).used += units;
            }
            if let Some(channel) = by {
                level.channel_mut(channel).drawn += units;
            }
            level.tidy();
            levels.put(draw.index, level);
        }
    }
}

/// Levels of the base, or those that were changed.
pub enum GivenBackLevels<'a, B> {
    /// Untouched.
    Base(B),
    /// With draws given back.
    Changed(&'a Levels),
}

impl<B: Deref<Target = Levels>> Deref for GivenBackLevels<'_, B> {
    type Target = Levels;

    fn deref(&self) -> &Levels {
        match self {
            GivenBackLevels::Base(levels) => levels,
            GivenBackLevels::Changed(levels) => levels,
        }
    }
}

impl<A: Availability + ?Sized> Availability for GivenBack<'_, A> {
    type Levels<'b>
        = GivenBackLevels<'b, A::Levels<'b>>
    where
        Self: 'b;

    fn levels(&self, resource: ResourceIdx) -> Self::Levels<'_> {
        match self.changed.binary_search_by_key(&resource, |(r, _)| *r) {
            Ok(at) => GivenBackLevels::Changed(&self.changed[at].1),
            Err(_) => GivenBackLevels::Base(self.base.levels(resource)),
        }
    }
}
