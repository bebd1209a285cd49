"""Tests how recorded requests become what AWS bills, against examples calculated by hand from AWS's documentation."""

import sys

from benches.cost.units import bill, dynamodb, item_size, s3

TEXT, HOST = "x" * 1500, "api"


def text(content: str) -> dict:
    return {"S": content}


def main() -> int:
    # "DynamoDB item sizes and formats": names and texts by their bytes, lists with 3 bytes and 1 for each element.
    assert item_size({"pk": text("é"), "n": {"N": "123"}, "b": {"B": "AAAA"}, "t": {"BOOL": True}}) == 4 + 4 + 4 + 2
    assert item_size({"l": {"L": [text("ab"), text("c")]}}) == 1 + 3 + 2 + 3
    # One unit reads 4 KB strongly consistent; what is missing costs a unit too, and half of it otherwise.
    found = {"Responses": {"t": [{"a": text("x" * 5000)}]}}
    keys = {"RequestItems": {"t": {"Keys": [{}, {}, {}], "ConsistentRead": True}}}
    assert dynamodb("BatchGetItem", keys, found) == {"read": 2 + 1 + 1}
    # The items of a query are added up before they are rounded.
    assert dynamodb("Query", {"ConsistentRead": True}, {"Items": [{"a": text(TEXT)}] * 3}) == {"read": 2}
    assert dynamodb("Query", {}, {"Items": []}) == {"read": 0.5}
    # A transaction costs twice as much; each index entry is one more.
    put = {"Put": {"Item": {"a": text(TEXT), "feed_pk": text("f")}}}
    update, delete = {"Update": {"Key": {}}}, {"Delete": {"Key": {"sk": text("IMAGE#1")}}}
    assert dynamodb("TransactWriteItems", {"TransactItems": [put, update, delete]}, {}) == {"write": 4 + 1 + 2 + 2 + 1}
    assert dynamodb("PutItem", {"Item": {"a": text(TEXT)}}, {}) == {"write": 2}
    assert [s3("PUT", "/b/k", ""), s3("GET", "/b", "list-type=2"), s3("GET", "/b/k", "x-id=GetObject")] == [
        "s3_1",
        "s3_1",
        "s3_2",
    ]
    assert s3("DELETE", "/b/k", "") is None and s3("POST", "/b", "delete=") is None
    call = {"target": "", "host": "s3", "path": "/b/k", "method": "GET", "query": "X-Amz-Signature=1", "received": 7}
    assert bill(call, HOST, {"b"}) == {"s3_2": 1, "bytes_out": 7}
    assert bill(call | {"query": ""}, HOST, {"b"}) == {"s3_2": 1}
    assert bill(call | {"host": HOST}, HOST, {"b"}) == {"requests": 1, "bytes_out": 7}
    assert bill(call | {"target": "AmazonSQS.SendMessage"}, HOST, {"b"}) == {"sqs": 1}
    print("Requests are billed as in the examples.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
