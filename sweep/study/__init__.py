"""What a study says: its file, its typed form, its search space, the configuration of one trial, and what it reads.

Which trials follow from a study, and how they are trained, is the business of others. Free of torch and Ray.
"""
