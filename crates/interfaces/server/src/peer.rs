//! One client, as the server knows it: its session, its subscriptions, its
//! outgoing buffer; and the stages that each of its requests goes through.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Number;
use tandem::{Store, Transaction};
use tandem_base::Result;
use tracing::Instrument;

use crate::connections::{ConnectionInfo, Registered};
use crate::data::Data;
use crate::dispatch::dispatch;
use crate::frame::{self, Frame, Request};
use crate::limits::AddressSlot;
use crate::observe::Observed;
use crate::outbox::Outbox;
use crate::push::Subscriptions;
use crate::request::Scope;
use crate::session::Session;
use crate::shared::Shared;
use crate::shutdown::{Phase, ShutdownSignal};
use crate::workers::Class;

/// See the [module](self).
pub(crate) struct Peer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) session: Session,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) info: Arc<ConnectionInfo>,
    outbox: Arc<Outbox>,
    /// What a connection occupies; an administrator's request, nothing.
    _place: Option<(Registered, AddressSlot)>,
}

impl Peer {
    pub(crate) fn new(shared: Arc<Shared>, address: IpAddr, slot: AddressSlot) -> Self {
        shared.metrics.opened();
        let registered = shared.connections.register(address, shared.now_ms());
        let info = registered.info().clone();
        Self::with(shared, info, Some((registered, slot)))
    }

    /// Somebody who sends one request by HTTP: with every right, under no rate
    /// limit, and not counted as a connection.
    pub(crate) fn administrator(shared: Arc<Shared>, address: IpAddr) -> Self {
        let info = Arc::new(ConnectionInfo::unregistered(address, shared.now_ms()));
        Self::with(shared, info, None)
    }

    fn with(
        shared: Arc<Shared>,
        info: Arc<ConnectionInfo>,
        place: Option<(Registered, AddressSlot)>,
    ) -> Self {
        let outbox = Arc::new(Outbox::new(&shared.config.backpressure));
        Self {
            session: Session::new(shared.config.connection_limits.max_transactions_per_connection),
            subscriptions: Subscriptions::new(),
            info,
            outbox,
            _place: place,
            shared,
        }
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn shutdown_signal(&self) -> ShutdownSignal {
        self.shared.shutdown.signal()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.shutdown.phase() != Phase::Running
    }

    pub(crate) fn welcome(&self) {
        self.outbox.send(frame::welcome(self.shared.now_ms()));
    }

    /// Carries one frame through the stages of the pipeline. Not to be
    /// cancelled: the answer belongs to what was done.
    pub(crate) async fn handle(&mut self, frame: Frame) {
        match frame {
            Frame::Pong => {}
            Frame::Malformed(error) => {
                self.shared.metrics.request("", Some(&error), Duration::ZERO);
                self.respond(&frame::no_id(), Err(error));
            }
            Frame::Request(request) => {
                let id = request.id.clone();
                let mut observed = Observed::begin(&self.shared, self.info.number, &request);
                let span = observed.span();
                let answer = self.answer(request, &mut observed).instrument(span).await;
                observed.end(&self.shared, &answer);
                self.respond(&id, answer);
                // The answer comes before the pushes that the request causes.
                self.attend().await;
            }
        }
        // A client that does not read its answers gets no further requests
        // served. Holds nothing while it waits.
        self.outbox.below_limit().await;
    }

    /// The stages between parsing and answering. Authentication will stand
    /// before the rate limit, auditing after the answer.
    async fn answer(&mut self, request: Request, observed: &mut Observed) -> Result<Data> {
        if let Err(error) = self.shared.admit(self.info.address) {
            observed.refused();
            return Err(error);
        }
        dispatch(self, request).await
    }

    fn respond(&self, id: &Number, answer: Result<Data>) {
        // Sent with what follows from it, and with the answers to what else has
        // come; whoever drives this uncorks when there is nothing more to do.
        self.outbox.cork();
        self.outbox.send(self.shared.response(id, answer));
    }

    /// Waits until [`attend`](Self::attend) has something to do. Safe to
    /// cancel: it changes nothing.
    pub(crate) async fn woken(&mut self) {
        tokio::select! {
            biased;
            () = self.session.due() => {}
            () = self.subscriptions.woken(&self.outbox) => {}
        }
    }

    /// Does what is due besides requests: ends transactions whose time is
    /// over, sends what the subscriptions have to say.
    pub(crate) async fn attend(&mut self) {
        let expired = self.session.take_expired();
        if !expired.is_empty() {
            self.roll_back(expired).await;
        }
        let Self { subscriptions, shared, outbox, .. } = self;
        subscriptions.push_due(shared, outbox).await;
    }

    /// Ends the session: everything open is rolled back.
    pub(crate) async fn leave(&mut self) {
        self.subscriptions.clear();
        let open = self.session.take_all();
        if !open.is_empty() {
            self.roll_back(open).await;
        }
    }

    async fn roll_back(&self, transactions: Vec<Arc<Transaction>>) {
        let work = move || {
            for transaction in transactions {
                transaction.cancel();
            }
            Ok(())
        };
        if let Err(error) = self.shared.workers.run(Class::Read, work).await {
            tracing::error!(%error, "rolling back open transactions failed");
        }
    }

    /// Runs `work` on the store, or within the open transaction `handle`.
    pub(crate) async fn on_store<T: Send + 'static>(
        &mut self,
        class: Class,
        handle: Option<&str>,
        work: impl FnOnce(&Scope) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let scope = match handle {
            Some(handle) => Scope::Transaction(self.session.transaction(handle)?),
            None => Scope::Store(self.store().clone()),
        };
        let outcome = self.shared.workers.run(class, move || work(&scope)).await;
        if let Some(handle) = handle {
            self.session.used(handle, outcome.as_ref().err());
        }
        outcome
    }

    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }
}
