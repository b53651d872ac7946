//! What only files on disk tell, read by a thread of its own, so that a disk that hangs holds up nobody for long.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a question may hold up who asks.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often what has to be done meanwhile is done.
const STEP: Duration = Duration::from_millis(1);
/// Most questions that wait; what comes on top is not answered.
const QUESTIONS: usize = 1024;

type Question = Box<dyn FnOnce() + Send>;

/// A thread that reads files. It starts with the first question, so that it has no more rights than who asks.
#[derive(Debug, Default)]
pub(super) struct Reader {
    questions: Option<SyncSender<Question>>,
    pace: Arc<Pace>,
}

/// What has to be done while somebody waits for an answer. It says whether there is time to wait on.
#[derive(Clone)]
pub struct Meanwhile(Arc<dyn Fn() -> bool + Send + Sync>);

impl Meanwhile {
    /// This, which must not itself wait.
    pub fn new(done: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(done))
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Meanwhile")
    }
}

/// How far the thread has come.
#[derive(Debug, Default)]
struct Pace {
    state: Mutex<State>,
    answered: Condvar,
    meanwhile: OnceLock<Meanwhile>,
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_there`, or it is in vain.
    fn wait(&self, is_there: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !is_there() && !state.late {
            state = self.answered.wait_timeout(state, STEP).unwrap_or_else(PoisonError::into_inner).0;
            drop(state);
            let goes_on = self.meanwhile.get().is_none_or(|meanwhile| (meanwhile.0)());
            state = self.state();
            // Who has answered meanwhile is not late.
            state.late = state.open > 0 && (!goes_on || Instant::now() >= deadline);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Questions that are not answered yet.
    open: usize,
    /// Somebody waited in vain: nobody waits again until all that is open has been answered.
    late: bool,
}

/// What a question brings, once it is known.
#[derive(Debug)]
pub(super) struct Answer<T> {
    value: Arc<OnceLock<T>>,
    pace: Option<Arc<Pace>>,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), pace: self.pace.clone() }
    }
}

impl<T> From<T> for Answer<T> {
    /// An answer that needs no question.
    fn from(value: T) -> Self {
        Self { value: Arc::new(value.into()), pace: None }
    }
}

impl<T> Answer<T> {
    /// The answer, if it is there already.
    pub(super) fn now(&self) -> Option<&T> {
        self.value.get()
    }

    /// Whether the answer is still to come.
    pub(super) fn is_open(&self) -> bool {
        self.pace.is_some() && self.value.get().is_none()
    }

    /// The answer. Waits for it a little, unless it is known that this is in vain; `None` when it is not there then.
    pub(super) fn get(&self) -> Option<&T> {
        if let Some(pace) = self.pace.as_deref().filter(|_| self.value.get().is_none()) {
            pace.wait(|| self.value.get().is_some());
        }
        self.value.get()
    }
}

impl Reader {
    /// What has to be done from now on while somebody waits for its answers. Only the first one counts.
    pub(super) fn meanwhile(&self, meanwhile: Meanwhile) {
        let _ = self.pace.meanwhile.set(meanwhile);
    }

    /// Has a question answered by the thread. Does not wait.
    pub(super) fn ask<T: Send + Sync + 'static>(&mut self, question: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let value = Arc::new(OnceLock::new());
        let answer = Answer { value: value.clone(), pace: Some(self.pace.clone()) };
        let question = Box::new(move || {
            let _ = value.set(question());
        });
        self.state(|state| state.open += 1);
        let questions = self.questions.get_or_insert_with(|| start(self.pace.clone()));
        if questions.try_send(question).is_err() {
            // It will not be answered, so nobody should wait.
            self.state(|state| {
                state.open -= 1;
                state.late = state.open > 0;
            });
            return Answer { pace: None, ..answer };
        }
        answer
    }

    fn state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.pace.state());
    }
}

/// Starts the thread; without one, all questions are refused.
fn start(pace: Arc<Pace>) -> SyncSender<Question> {
    let (questions, asked) = sync_channel(QUESTIONS);
    // Not joined: it may be stuck in a file system, and the end must not wait for that.
    let _ = thread::Builder::new().name("iotrace-read".into()).spawn(move || answer_all(&asked, &pace));
    questions
}

fn answer_all(asked: &Receiver<Question>, pace: &Pace) {
    for question in asked {
        question();
        let mut state = pace.state();
        state.open = state.open.saturating_sub(1);
        state.late &= state.open > 0;
        pace.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    };

    #[test]
    fn an_answer_is_waited_for() {
        let mut reader = Reader::default();
        let answers: Vec<_> = (0..101).map(|number| reader.ask(move || number)).collect();
        assert!(answers.iter().enumerate().all(|(number, answer)| answer.get() == Some(&number)));
    }

    #[test]
    fn what_has_to_be_done_meanwhile_is_done_by_who_waits() {
        let mut reader = Reader::default();
        let (go, gone) = channel::<()>();
        let go = Mutex::new(go);
        let rounds = Arc::new(AtomicUsize::new(0));
        let counted = rounds.clone();
        // The answer comes in the seventh round: without these it would not come.
        reader.meanwhile(Meanwhile::new(move || {
            if counted.fetch_add(1, Ordering::Relaxed) == 6 {
                go.lock().unwrap().send(()).unwrap();
            }
            true
        }));
        assert_eq!(reader.ask(move || gone.recv().is_ok()).get(), Some(&true));
        assert!(rounds.load(Ordering::Relaxed) >= 7);
    }

    #[test]
    fn who_has_no_more_time_waits_no_longer() {
        let mut reader = Reader::default();
        let (go, gone) = channel::<()>();
        let rounds = Arc::new(AtomicUsize::new(0));
        let counted = rounds.clone();
        reader.meanwhile(Meanwhile::new(move || counted.fetch_add(1, Ordering::Relaxed) < 2));
        let stuck = reader.ask(move || gone.recv().is_ok());
        assert!((0..7).all(|_| stuck.get().is_none()));
        assert_eq!(rounds.load(Ordering::Relaxed), 3, "the first one alone waited");
        go.send(()).unwrap();
    }

    #[test]
    fn a_reader_that_hangs_is_waited_for_once() {
        let mut reader = Reader::default();
        let (go, gone) = channel::<()>();
        let stuck = reader.ask(move || gone.recv().is_ok());
        let behind = reader.ask(|| 7);
        assert_eq!(stuck.get(), None);
        let start = Instant::now();
        assert!((0..1009).all(|_| behind.get().is_none()));
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
        go.send(()).unwrap();
        while behind.now().is_none() {
            thread::yield_now();
        }
        assert_eq!((stuck.now(), behind.get()), (Some(&true), Some(&7)));
        assert_eq!(reader.ask(|| 8).get(), Some(&8), "it has caught up");
    }

    #[test]
    fn what_finds_no_room_is_not_waited_for() {
        let mut reader = Reader::default();
        let (_go, gone) = channel::<()>();
        let _stuck = reader.ask(move || gone.recv().is_ok());
        let answers: Vec<_> = (0..=QUESTIONS + 1).map(|number| reader.ask(move || number)).collect();
        let start = Instant::now();
        assert!(answers.iter().all(|answer| answer.get().is_none()));
        assert!(start.elapsed() < 2 * PATIENCE, "{:?}", start.elapsed());
    }
}
