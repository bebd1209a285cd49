//! A page costs the same however much there is: in calls, in items that are read for it, and in bytes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, FunctionUnderTest, Recorded, Stack, User, eventually, on_stack};
use crate::job_faults::{comes_again, delete_all};

/// The cost of a piece of work by kind of call: calls, the most items that one read, the most bytes that one answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost(pub(crate) BTreeMap<String, (usize, u64, usize)>);

impl Cost {
    pub(crate) fn of(calls: &[Recorded]) -> Self {
        let mut cost = Self::default();
        for call in calls {
            let (count, scanned, bytes) = cost.0.entry(call.operation.clone()).or_default();
            *count += 1;
            *scanned = call.scanned.max(*scanned);
            *bytes = call.answer_bytes.max(*bytes);
        }
        cost
    }

    fn calls(&self) -> usize {
        self.0.values().map(|(count, ..)| count).sum()
    }

    /// The same calls and items as another's, and as many bytes but for what a longer number takes.
    #[track_caller]
    pub(crate) fn assert_same(&self, other: &Self, what: &str) {
        let less_bytes = |cost: &Self| {
            let calls = cost.0.iter().map(|(name, (count, scanned, _))| (name.clone(), (*count, *scanned)));
            calls.collect::<BTreeMap<_, _>>()
        };
        assert_eq!(less_bytes(self), less_bytes(other), "{what}");
        for (name, (_, _, bytes)) in &self.0 {
            let (_, _, others) = other.0[name];
            assert!(bytes.abs_diff(others) * 100 <= others, "{what}: {name} answers {bytes} bytes, and {others}");
        }
    }
}

/// Registers images whose items are all equally large.
pub(crate) async fn fill(user: &User, count: usize) {
    for start in (0..count).step_by(1000) {
        let images: Vec<Value> = (start..count.min(start + 1000))
            .map(|index| Picture::small().draft(&format!("Photo {index:06}")))
            .collect();
        let answer = user.post("/api/images/batch", json!({"images": images})).await.assert_json(207);
        assert!(answer.list("results").iter().all(|result| result["status"] == 201), "{answer}");
    }
}

/// The cost of a page, and the cursor of the next one. On a machine with much else to do an emulator of this many items may seem
/// out of reach: then it is asked again.
async fn page(function: &FunctionUnderTest, user: Option<&User>, target: &str) -> (Cost, Option<String>) {
    eventually(target, async || {
        function.proxy.take_calls();
        let answer = function.call(user, "GET", target, None).await;
        if answer.status == 503 {
            return None;
        }
        let answer = answer.assert_json(200);
        Some((Cost::of(&function.proxy.take_calls()), answer["next_cursor"].as_str().map(str::to_owned)))
    })
    .await
}

/// The costs of the first page of a list, and of one that begins behind this many others: of the cheapest of three requests,
/// because one of them reads what is remembered for seconds.
pub(crate) async fn pages(function: &FunctionUnderTest, user: Option<&User>, list: &str, behind: usize) -> [Cost; 2] {
    let mut target = list.to_owned();
    for _ in 0..behind {
        let (_, next) = page(function, user, &target).await;
        target = format!("{list}&cursor={}", next.expect("more follow"));
    }
    let mut costs = [Cost::default(), Cost::default()];
    for (cost, target) in costs.iter_mut().zip([list, &target]) {
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.push(page(function, user, target).await.0);
        }
        *cost = asked.into_iter().min_by_key(Cost::calls).expect("three");
    }
    costs
}

/// Compares what lists and the deletion of everything cost two users, one of few images and one of many.
pub(crate) async fn lists_and_deletions_cost_the_same(stack: &'static Stack, few: usize, many: usize) {
    let (one, other) = (stack.user().await, stack.user().await);
    tokio::join!(fill(&one, few), fill(&other, many));
    let function = stack.function("list_images").await;
    for list in
        ["/api/images?limit=20", "/api/images?limit=20&visibility=public", "/api/images?limit=20&status=pending"]
    {
        let small = pages(&function, Some(&one), list, 3).await;
        let large = pages(&function, Some(&other), list, (many / 20 / 2).min(100)).await;
        for (small, large) in small.iter().zip(&large) {
            large.assert_same(small, list);
            assert_eq!(large.0["Query"].1, 21, "{large:?}");
        }
        println!("{list}: {:?}", large[1].0);
    }

    // A filter that no image passes: the page reads on, in ever larger steps, within its bound.
    let (cost, next) = page(&function, Some(&other), "/api/images?limit=20&status=ready").await;
    let (queries, scanned, _) = cost.0["Query"];
    assert!(queries <= 10 && scanned <= 1000, "{cost:?}");
    assert_eq!(next.is_some(), many > 7000, "{cost:?}");

    let runner = stack.function("run_job").await;
    let mut costs = Vec::new();
    for (user, count) in [(&one, few), (&other, many)] {
        let id = delete_all(user).await;
        runner.proxy.take_calls();
        comes_again(&runner, &id, "undisturbed").await;
        let calls = runner.proxy.take_calls();
        let job = user.get(format!("/api/jobs/{id}")).await.assert_json(200);
        assert_eq!((job.str("status"), job.number("done")), ("done", count as u64));
        // A read of the job, a query and a transaction for each page; and once more, to see the end and to say so.
        let pages = count.div_ceil(41);
        let counted: BTreeMap<String, usize> =
            Cost::of(&calls).0.into_iter().map(|(name, (count, ..))| (name, count)).collect();
        let expected = [("BatchGetItem", pages + 1), ("Query", pages + 1), ("TransactWriteItems", pages + 1)];
        let expected: BTreeMap<String, usize> =
            expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(counted, expected, "{count} images");
        // One page of each, of the same size.
        costs.push(Cost::of(&calls[..3]));
        let whole = Cost::of(&calls);
        assert_eq!(whole.0["Query"].1, 41, "{whole:?}");
        assert!(whole.0["Query"].2 <= costs[0].0["Query"].2 * 101 / 100, "{whole:?}");
    }
    costs[1].assert_same(&costs[0], "a page of a deletion");
    println!("a page of a deletion: {:?}", costs[1].0);
}

#[test]
fn page_costs_the_same_for_100_and_600_images() {
    on_stack(async |stack| lists_and_deletions_cost_the_same(stack, 100, 600).await);
}
