"""Systems of the field side by side: the same data, one budget, one table.

a comparison (YAML) -> a recipe for each system -> steps that spend the budget -> runs -> bits, samples -> table
"""
