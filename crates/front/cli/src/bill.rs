//! `lambent bill`: what ran, and what it cost.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use lambent_base::Clock;
use lambent_metering::{Bill, Month};

use crate::client::{Client, Request};
use crate::cloud::{Cloud, DataArg};
use crate::table::table;
use crate::text::{self, LEFT, RIGHT, count, dollars};
use crate::{CliError, exit, ui};

const PATH: &str = "/_lambent/bill";
const ACTION: &str = "GetBill";

/// Show requests, GB-seconds and cost by function, and what AWS would ask
#[derive(Args, Clone, Debug)]
pub struct BillArgs {
    /// The month, YYYY-MM; this one (UTC) unless told
    #[arg(long, value_name = "MONTH")]
    pub month: Option<Month>,
    #[command(flatten)]
    pub data: DataArg,
}

/// Prints the bill of a month.
pub fn run(arguments: &BillArgs) -> ExitCode {
    ui::finish(ui::block_on(show(arguments)))
}

/// The bill of a month, or of this one.
pub(crate) async fn fetch(client: &Client, month: Option<Month>) -> Result<Bill, CliError> {
    let path = month.map_or_else(|| PATH.to_owned(), |month| format!("{PATH}?month={month}"));
    let body = client.expect(&Request::new(ACTION, "lambent", Method::GET, &path)).await?;
    serde_json::from_slice(&body).map_err(|error| CliError::Answer {
        action: ACTION.to_owned(),
        expected: "a bill",
        found: error.to_string(),
    })
}

async fn show(arguments: &BillArgs) -> Result<u8, CliError> {
    let client = Client::new(Cloud::find(&arguments.data.data)?, Clock::system());
    let bill = fetch(&client, arguments.month).await?;
    ui::print(&report(&bill))?;
    Ok(exit::DONE)
}

fn report(bill: &Bill) -> String {
    let head = [
        ("FUNCTION", LEFT),
        ("REQUESTS", RIGHT),
        ("ERRORS", RIGHT),
        ("GB-SECONDS", RIGHT),
        ("COST", RIGHT),
        ("ON AWS", RIGHT),
    ];
    let row = |name: &str, requests: u64, errors: u64, gb_seconds: f64, cost: u64, aws: u64| {
        let gb_seconds = format!("{gb_seconds:.4}");
        vec![text::cell(name), count(requests), count(errors), gb_seconds, dollars(cost), dollars(aws)]
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for one in &bill.functions {
        let cost = one.cost.total_nano_usd;
        rows.push(row(&one.function, one.requests, one.errors, one.gb_seconds, cost, one.aws_nano_usd));
    }
    let errors = bill.functions.iter().map(|one| one.errors).sum();
    let (cost, aws) = (bill.cost.total_nano_usd, &bill.aws);
    rows.push(row("total", bill.requests, errors, bill.gb_seconds, cost, aws.total_nano_usd));
    let mut text = format!("Bill of {} in {}, {} (UTC)\n\n", bill.account, bill.region, bill.month);
    text.push_str(&table(&head, &rows));
    text.push_str(&format!(
        "\nOn AWS: {} less {} of its always-free tier is {}.\n",
        dollars(aws.total_nano_usd),
        dollars(aws.free_nano_usd),
        dollars(aws.due_nano_usd)
    ));
    text.push_str(&format!("Prices: {}, as of {}.\n", bill.prices.title, bill.prices.as_of));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambent_metering::{AwsCost, Cost, FunctionBill, PriceSource};

    #[test]
    fn figures_stand_to_the_right() {
        let prices = PriceSource { title: "AWS Lambda Pricing".to_owned(), as_of: "2025-08".to_owned() };
        let cost = |total_nano_usd| Cost { total_nano_usd, ..Cost::default() };
        let function = |name: &str, requests, total| FunctionBill {
            function: name.to_owned(),
            requests,
            errors: 1,
            billed_ms: 100,
            memory_mib_ms: 51_200,
            gb_seconds: 0.05,
            cost: cost(total),
            aws_nano_usd: total,
        };
        let bill = Bill {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            month: "2026-11".to_owned(),
            prices: prices.clone(),
            functions: vec![function("thumbnail", 12_345, 2_500_000_000), function("x", 1, 1_033)],
            requests: 12_346,
            gb_seconds: 0.1,
            cost: cost(2_500_001_033),
            aws: AwsCost {
                prices,
                total_nano_usd: 2_500_001_033,
                free_nano_usd: 2_500_000_000,
                due_nano_usd: 1_033,
            },
        };
        let expected = "\
Bill of 000000000000 in us-east-1, 2026-11 (UTC)

FUNCTION   REQUESTS  ERRORS  GB-SECONDS          COST        ON AWS
thumbnail    12,345       1      0.0500  $2.500000000  $2.500000000
x                 1       1      0.0500  $0.000001033  $0.000001033
total        12,346       2      0.1000  $2.500001033  $2.500001033

On AWS: $2.500001033 less $2.500000000 of its always-free tier is $0.000001033.
Prices: AWS Lambda Pricing, as of 2025-08.
";
        assert_eq!(report(&bill), expected);
    }
}
