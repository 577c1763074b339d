#!/usr/bin/python3
"""Breaking-change check of proto/ against tests/golden/proto.desc.

	proto_compat.py            exit 1 and one line per breaking change
	proto_compat.py --update   accept the present contracts; refuses breaking ones unless SOUK_UNRELEASED=1

Breaking is what an older daemon or an older client would misread: a number that changed its name, type or label, a
number or name that vanished without being reserved, an enum value or rpc that vanished or moved.
"""

import os
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GOLDEN = os.path.join(ROOT, "tests", "golden", "proto.desc")
F = descriptor_pb2.FieldDescriptorProto


class Broken(Exception):
    pass


_current = None


def current():
    """The descriptor set of proto/ as it is."""
    global _current
    if _current is None:
        folder = os.path.join(ROOT, "proto")
        names = sorted(n for n in os.listdir(folder) if n.endswith(".proto"))
        with tempfile.NamedTemporaryFile() as out:
            done = subprocess.run(["protoc", "-I", folder, f"--descriptor_set_out={out.name}"] + names,
                                  stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise Broken(done.stderr.strip().splitlines()[0])
            _current = parse(out.name)
    return _current


def parse(path):
    with open(path, "rb") as f:
        return descriptor_pb2.FileDescriptorSet.FromString(f.read())


def messages(f):
    """(message, full name) of a file, nested ones too."""
    def walk(message, name):
        yield message, name
        for inner in message.nested_type:
            yield from walk(inner, f"{name}.{inner.name}")
    for message in f.message_type:
        yield from walk(message, f"{f.package}.{message.name}")


def enums(f):
    for enum in f.enum_type:
        yield enum, f"{f.package}.{enum.name}"
    for message, name in messages(f):
        for enum in message.enum_type:
            yield enum, f"{name}.{enum.name}"


def recursion():
    """Messages that contain themselves: protobuf-c would follow them without limit."""
    uses = {}
    for f in current().file:
        for message, name in messages(f):
            uses[name] = [x.type_name.lstrip(".") for x in message.field if x.type == F.TYPE_MESSAGE]

    def reaches(start, node, seen):
        for child in uses.get(node, ()):
            if child == start:
                return True
            if child not in seen:
                seen.add(child)
                if reaches(start, child, seen):
                    return True
        return False

    for name in sorted(uses):
        if reaches(name, name, set()):
            yield f"{name} contains itself"


def check(old=None):
    if old is None:
        if not os.path.exists(GOLDEN):
            yield "tests/golden/proto.desc is missing (tests/lint/lint.sh --golden)"
            return
        old = parse(GOLDEN)
    new_messages = {n: m for f in current().file for m, n in messages(f)}
    new_enums = {n: e for f in current().file for e, n in enums(f)}
    new_methods = {f"{f.package}.{s.name}/{m.name}": m for f in current().file for s in f.service for m in s.method}
    for f in old.file:
        for message, name in messages(f):
            if name not in new_messages:
                yield f"message {name} was removed"
            else:
                yield from compare_message(message, new_messages[name], name)
        for enum, name in enums(f):
            if name not in new_enums:
                yield f"enum {name} was removed"
            else:
                yield from compare_enum(enum, new_enums[name], name)
        for service in f.service:
            for method in service.method:
                name = f"{f.package}.{service.name}/{method.name}"
                if name not in new_methods:
                    yield f"rpc {name} was removed"
                elif (method.input_type, method.output_type) != (new_methods[name].input_type,
                                                                 new_methods[name].output_type):
                    yield f"rpc {name} has other messages"


def compare_message(old, new, name):
    by_number = {x.number: x for x in new.field}
    for field in old.field:
        now = by_number.get(field.number)
        if now is None:
            if not any(r.start <= field.number < r.end for r in new.reserved_range):
                yield f"{name}.{field.name} = {field.number} was removed and its number is not reserved"
            if field.name not in new.reserved_name:
                yield f"{name}.{field.name} was removed and its name is not reserved"
        elif now.name != field.name:
            yield f"{name}: number {field.number} was {field.name} and is {now.name}"
        elif (now.type, now.type_name) != (field.type, field.type_name):
            yield f"{name}.{field.name} changed its type"
        elif now.label != field.label:
            yield f"{name}.{field.name} changed between one and many"
    for reserved in old.reserved_range:
        for field in new.field:
            if reserved.start <= field.number < reserved.end:
                yield f"{name}.{field.name} takes the reserved number {field.number}"


def compare_enum(old, new, name):
    by_name = {v.name: v.number for v in new.value}
    for value in old.value:
        if value.name not in by_name:
            yield f"{name}.{value.name} was removed"
        elif by_name[value.name] != value.number:
            yield f"{name}.{value.name} was {value.number} and is {by_name[value.name]}"


def main():
    try:
        if "--update" in sys.argv:
            broken = list(check(parse(GOLDEN))) if os.path.exists(GOLDEN) else []
            if broken and os.environ.get("SOUK_UNRELEASED") != "1":
                sys.exit("\n".join(broken))
            os.makedirs(os.path.dirname(GOLDEN), exist_ok=True)
            with open(GOLDEN, "wb") as f:
                f.write(current().SerializeToString(deterministic=True))
            return 0
        broken = list(check())
    except Broken as e:
        sys.exit(f"proto/ does not compile: {e}")
    print("\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
