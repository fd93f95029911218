"""The product on a machine: who may do what, the folders of the state, what `vv doctor` finds."""
