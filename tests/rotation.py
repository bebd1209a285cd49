"""Tests which keys `make rotate-keys` keeps, in a separate secret."""

import json
import time

import boto3

from infra import operate

DAY = 86400


def main() -> None:
    client = boto3.client("secretsmanager")
    secret = client.create_secret(Name="rotation", SecretString=json.dumps({"key": "first"}))["ARN"]
    try:
        began = int(time.time())
        assert operate.rotate_keys(secret, 30) == 2
        new, first = operate.signing_keys(secret)
        assert (first["key"], first["from"]) == ("first", 0), first
        assert began + 600 <= new["from"] <= time.time() + 600 and len(new["key"]) >= 64, new["from"]
        # A second rotation before the first new key signs replaces nothing.
        assert operate.rotate_keys(secret, 30) == 3

        def dated(*days: int) -> None:
            keys = [{"key": f"{age} days", "from": began - age * DAY} for age in days]
            client.put_secret_value(SecretId=secret, SecretString=json.dumps({"keys": keys}))

        for ages, kept in [((29, 99), (29, 99)), ((31, 99), (31,)), ((1, 31, 99), (1, 31)), ((1, 29, 99), (1, 29, 99))]:
            dated(*ages)
            operate.rotate_keys(secret, 30)
            names = [key["key"] for key in operate.signing_keys(secret)[1:]]
            assert names == [f"{age} days" for age in kept], (ages, names)

        assert operate.rotate_keys(secret, 30, compromised=True) == 1
        [key] = operate.signing_keys(secret)
        assert key["from"] <= time.time(), key["from"]
    finally:
        client.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    print("A new key waits until all functions know it, and an old one is kept for as long as sessions last.")


if __name__ == "__main__":
    main()
