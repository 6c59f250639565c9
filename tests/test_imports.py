"""Imports go in no circle, not even those inside functions, which import at the first call."""

import grimp


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = grimp.build_graph("twofold", exclude_type_checking_imports=True)
    left = {
        module: graph.find_modules_directly_imported_by(module) & graph.modules
        for module in graph.modules
    }
    while free := [module for module, needed in left.items() if not needed & left.keys()]:
        for module in free:
            del left[module]
    # what is left is in a circle, or imports one
    inside = {
        module for module, needed in left.items() if module in graph.find_downstream_modules(module)
    }
    assert inside == set(), sorted(inside)
