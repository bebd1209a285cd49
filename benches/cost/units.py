"""What AWS bills for recorded requests: request units of DynamoDB, requests of S3, SQS and API Gateway, and bytes."""

import math
from collections import Counter
from urllib.parse import parse_qs


def size(value: dict) -> int:
    """The bytes of an attribute's value ("DynamoDB item sizes and formats"), here in DynamoDB's JSON."""
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            # About one byte for two significant digits, and one more.
            return len(content.strip("-0.").replace(".", "")) // 2 + 2
        case "B":
            return len(content) * 3 // 4
        case "L":
            return 3 + sum(1 + size(item) for item in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + size(item) for name, item in content.items())
        case _:
            return 1


def item_size(item: dict) -> int:
    return sum(len(name.encode()) + size(value) for name, value in item.items())


def read_units(data: int, strong: bool) -> float:
    return max(1, math.ceil(data / 4096)) * (1 if strong else 0.5)


def write_units(data: int) -> int:
    return max(1, math.ceil(data / 1024))


def indexes(item: dict) -> int:
    """The index entries that a written item has."""
    return ("feed_pk" in item) + ("plan_pk" in item)


def dynamodb(operation: str, request: dict, response: dict) -> Counter:
    """Request units. An update or a deletion counts as an item of up to 1 KB, which all items that are updated here are. An
    entry of an index counts as written by each put of an item that has it, and by the deletion of an image."""
    units: Counter = Counter()
    match operation:
        case "BatchGetItem":
            for table, asked in request["RequestItems"].items():
                strong, found = asked.get("ConsistentRead", False), response.get("Responses", {}).get(table, [])
                units["read"] += sum(read_units(item_size(item), strong) for item in found)
                units["read"] += (len(asked["Keys"]) - len(found)) * read_units(0, strong)
        case "Query" | "Scan":
            data = sum(item_size(item) for item in response.get("Items", []))
            units["read"] += read_units(data, request.get("ConsistentRead", False))
        case "TransactWriteItems":
            for [(kind, action)] in (entry.items() for entry in request["TransactItems"]):
                item = action.get("Item", {})
                units["write"] += 2 * write_units(item_size(item)) + indexes(item)
                if kind == "Delete" and action["Key"].get("sk", {}).get("S", "").startswith("IMAGE#"):
                    units["write"] += 1
        case "PutItem":
            item = request["Item"]
            units["write"] += write_units(item_size(item)) + indexes(item)
        case "UpdateItem" | "DeleteItem":
            units["write"] += 1
    return units


def s3(method: str, path: str, query: str) -> str | None:
    """The kind of a request: 1 for PUT, COPY, POST and LIST, 2 for GET and the others; deletions are free."""
    parameters = parse_qs(query, keep_blank_values=True)
    if method == "DELETE" or "delete" in parameters:
        return None
    return (
        "s3_1" if method in ("PUT", "POST") or "list-type" in parameters or path.strip("/").count("/") == 0 else "s3_2"
    )


def bill(call: dict, api_host: str, buckets: set[str]) -> Counter:
    """The billed units of a recorded request. `buckets`: their names, which begin the paths of S3's requests."""
    service, _, operation = call["target"].partition(".")
    if call["host"] == api_host:
        return Counter(requests=1, bytes_out=call["received"])
    if service.startswith("DynamoDB_"):
        return dynamodb(operation, call["request"], call["response"])
    if service == "AmazonSQS":
        return Counter(sqs=1)
    if call["path"].split("/")[1] not in buckets:
        return Counter()
    units: Counter = Counter()
    if kind := s3(call["method"], call["path"], call["query"]):
        units[kind] += 1
    # To the internet: what is presigned; functions read within the region.
    if "X-Amz-Signature" in call["query"] and call["method"] == "GET":
        units["bytes_out"] += call["received"]
    return units
