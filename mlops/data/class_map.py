"""A class map: the name of each source's classes in the training set.

    pbc_native:                      one section per source, by the name of its folder or file
      ig: immature_granulocytes
      platelet: platelet
    bccd-cells:
      Platelets: platelet
      WBC: null                      omitted on purpose
      RBC: null

A file without sections (`source class: target class`) applies to every source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.errors import BadSetting, DataFault
from mlops.files.regular_files import exists
from mlops.files.text_files import quoted, read_yaml_file

Section = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class ClassMap:
    """where: the file or other origin. sections: by source name; "" applies to every source."""

    where: str
    sections: Mapping[str, Section]

    def section(self, source: str, classes: Sequence[str]) -> Section:
        """The target of each of a source's classes. Raises BadSetting with the classes that have none."""
        section = self.sections.get(source, self.sections.get(""))
        if section is None:
            raise BadSetting(
                self.where, "source", source, f"a source with a section: {', '.join(self.sections)}"
            )
        lost = [each for each in classes if each not in section]
        if lost:
            where = f"{self.where}: {source}" if source in self.sections else self.where
            raise BadSetting(
                where, "class", ", ".join(lost), "only mapped classes; map each to a name, or to null"
            )
        return section


def read_class_map(file: Path) -> ClassMap:
    """Read a class map. Raises DataFault for an invalid file."""
    if not exists(file):
        raise DataFault(f"class map {file} does not exist")
    fields = read_yaml_file(file)
    if not isinstance(fields, dict) or not fields:
        raise DataFault(
            f"{file}: not a class map; write `source class: target class` lines, in a section for each source"
        )
    nested = [isinstance(value, dict) for value in fields.values()]
    if all(nested):
        return ClassMap(str(file), {str(name): _section(file, section) for name, section in fields.items()})
    if any(nested):
        raise DataFault(
            f"{file}: has both sections and plain lines; put every line into its source's section"
        )
    return ClassMap(str(file), {"": _section(file, fields)})


def given_or_recorded(
    file: Path | None, recorded: Mapping[str, Section] | None, sources: Sequence[str], whose: str
) -> ClassMap | None:
    """The class map in `file`, or else the one recorded by the training `whose`, if it has these sources.

    Raises DataFault if `file` is invalid.
    """
    if file is not None:
        return read_class_map(file)
    if not recorded or not ("" in recorded or set(sources) <= set(recorded)):
        return None
    return ClassMap(f"the class map of {whose}", recorded)


def _section(file: Path, fields: Mapping[object, object]) -> Section:
    for key, value in fields.items():
        if isinstance(value, (dict, list)):
            raise DataFault(
                f"{file}: {quoted(key, file)} is {quoted(value, file)}; map the class to one name, or to null"
            )
    return {str(key): None if value is None else str(value) for key, value in fields.items()}
